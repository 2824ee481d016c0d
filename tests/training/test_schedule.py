import math

import pytest

from bacalhaunet.training.config import OptimizerConfig
from bacalhaunet.training.optimizers import one_cycle, schedule_factor, warm_restarts


def test_warm_restarts_starts_each_period_at_the_peak_and_nears_zero_at_its_end():
    factor = warm_restarts(100)
    assert factor(0) == factor(100) == factor(700) == 1.0
    assert factor(50) == pytest.approx(0.5)
    assert 0 < factor(99) < 0.001


def test_one_cycle_rises_to_the_peak_once_and_ends_at_zero():
    factor = one_cycle(1000)
    values = [factor(step) for step in range(1001)]
    peak = values.index(max(values))
    assert max(values) == 1.0
    assert values[:peak] == sorted(values[:peak])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert values[1000] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_one_cycle_is_finite_on_the_shortest_runs(total):
    assert all(0 <= one_cycle(total)(step) <= 1 and math.isfinite(one_cycle(total)(step)) for step in range(5))


def test_the_period_of_warm_restarts_is_counted_in_epochs():
    factor = schedule_factor(OptimizerConfig(period_epochs=2), steps_per_epoch=10, epochs=9)
    assert factor(20) == 1.0
    assert factor(19) < 0.01
