import pytest
from hypothesis import given
from hypothesis import strategies as st

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.search.front import Result, best_result, front

SPEC = find_spec("first-experiment")


def result(number, accuracy, score, stopped_after=None):
    return Result(number, accuracy, score, SPEC, stopped_after=stopped_after)


grids = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6), st.booleans()), max_size=30).map(
    lambda rows: [result(i, a / 5, s / 10, 1 if cut else None) for i, (a, s, cut) in enumerate(rows)]
)


@given(grids)
def test_on_the_front_are_those_that_no_whole_trial_beats(found):
    def beaten(r):
        return any(
            o.accuracy >= r.accuracy and o.score <= r.score and (o.accuracy, o.score) != (r.accuracy, r.score)
            for o in found
            if o.stopped_after is None
        )

    expected = {(r.score, r.accuracy) for r in found if r.stopped_after is None and not beaten(r)}
    assert [(r.score, r.accuracy) for r in front(found)] == sorted(expected)


FOUND = [result(0, 0.50, 0.010), result(1, 0.56, 0.012), result(2, 0.58, 0.030), result(3, 0.9, 0.001, 1)]


def test_the_cheapest_of_an_accuracy_the_most_accurate_of_a_score_or_of_all():
    assert best_result(FOUND, min_accuracy=0.51).number == 1
    assert best_result(FOUND, max_score=0.029).number == 1
    assert best_result(FOUND).number == 2


def test_what_no_trial_reached_is_refused_with_the_ends_of_the_front():
    with pytest.raises(ConfigError, match=r"0\.5000 at 0\.01 to 0\.5800 at 0\.03"):
        best_result(FOUND, min_accuracy=0.6)
    with pytest.raises(ConfigError, match="as good"):
        best_result(FOUND, max_score=0.005)
    with pytest.raises(ConfigError, match="one of them"):
        best_result(FOUND, min_accuracy=0.5, max_score=0.01)
    with pytest.raises(ConfigError, match="has ended"):
        best_result([FOUND[3]])
