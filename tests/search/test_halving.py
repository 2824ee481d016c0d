import pytest
from hypothesis import given
from hypothesis import strategies as st

from bacalhaunet.errors import ConfigError
from bacalhaunet.search.settings import HalvingConfig, Standing, is_hopeless

RULE = HalvingConfig(first_epoch=1, factor=3, band=2.0, rivals=4)
standings = st.lists(
    st.builds(Standing, st.floats(0, 1), st.floats(1e-4, 1.0)), min_size=1, max_size=40, unique_by=lambda s: s.accuracy
)


def test_epochs_of_comparison_are_powers_below_the_last():
    assert RULE.epochs(9) == (1, 3)
    assert RULE.epochs(10) == (1, 3, 9)
    assert HalvingConfig(first_epoch=2, factor=2).epochs(16) == (2, 4, 8)
    assert HalvingConfig(first_epoch=0).epochs(100) == ()


def test_one_in_factor_goes_on_among_trials_of_one_score():
    trials = [Standing(accuracy / 100, 0.01) for accuracy in range(9)]
    on = [t for t in trials if not is_hopeless(t, [o for o in trials if o is not t], RULE)]
    assert on == trials[-3:]


def test_trials_of_other_scores_do_not_count():
    own = Standing(0.1, 0.01)
    better_but_dearer = [Standing(0.9, 0.0201)] * 10
    assert not is_hopeless(own, better_but_dearer, RULE)
    assert not is_hopeless(own, [Standing(0.9, 0.0049)] * 10, RULE)
    assert is_hopeless(own, [Standing(0.9, 0.02)] * 10, RULE)


def test_with_few_rivals_a_trial_goes_on():
    assert not is_hopeless(Standing(0.0, 0.01), [Standing(0.9, 0.01)] * 3, RULE)
    assert is_hopeless(Standing(0.0, 0.01), [Standing(0.9, 0.01)] * 4, RULE)


@given(standings)
def test_the_most_accurate_of_all_is_never_stopped_and_ties_go_on(trials):
    best = max(trials, key=lambda s: s.accuracy)
    others = [t for t in trials if t is not best]
    assert not is_hopeless(best, others, RULE)
    assert not is_hopeless(best, [best] * 20, RULE)


@pytest.mark.parametrize("wrong", [{"factor": 1}, {"band": 0.5}, {"rivals": 0}, {"band": float("nan")}])
def test_a_rule_that_means_nothing_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"halving.{next(iter(wrong))}"):
        HalvingConfig(**wrong)
