import pytest

from bacalhaunet.errors import ConfigError
from bacalhaunet.search.space import Range, SearchSpace, ShareRange


@pytest.mark.parametrize(("low", "high", "step"), [(3, 2, 1), (1, 4, 2), (1, 4, 0)])
def test_a_range_without_values_or_with_a_high_it_does_not_reach_is_refused(low, high, step):
    with pytest.raises(ConfigError, match="a range is"):
        Range(low, high, step)


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.5), (0.5, 0.4), (0.0, 1.0), (0.0, float("nan"))])
def test_shares_outside_0_to_1_are_refused(low, high):
    with pytest.raises(ConfigError, match="shares"):
        ShareRange(low, high)


@pytest.mark.parametrize(
    "space",
    [
        {"kernel": Range(2, 8, 2)},
        {"kernel": Range(3, 5, 1)},
        {"weight_bits": Range(1, 8)},
        {"activation_bits": Range(2, 9)},
        {"blocks": Range(0, 3)},
        {"stride": Range(0, 2)},
    ],
)
def test_a_space_with_a_value_that_cannot_be_built_is_refused_by_name(space):
    with pytest.raises(ConfigError, match=f"space.{next(iter(space))}"):
        SearchSpace(**space)
