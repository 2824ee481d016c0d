import math

import pytest
import torch

from bacalhaunet.training.config import OptimizerConfig
from bacalhaunet.training.optimizers import configured_schedule, one_cycle


def rates(config, steps_per_epoch, epochs, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], config.learning_rate)
    schedule = configured_schedule(optimizer, config, steps_per_epoch, epochs)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_warm_restarts_start_each_period_at_the_peak_and_near_zero_at_its_end():
    found = rates(OptimizerConfig(learning_rate=1.0, period_epochs=1), 100, 8, 701)
    assert found[0] == found[100] == found[700] == 1.0
    assert found[50] == pytest.approx(0.5)
    assert 0 < found[99] < 0.001
    expected = [0.5 * (1 + math.cos(math.pi * (step % 100) / 100)) for step in range(701)]
    assert found == pytest.approx(expected, rel=1e-12)


def test_one_cycle_rises_to_the_peak_once_and_ends_at_zero():
    values = rates(OptimizerConfig(learning_rate=1.0, schedule="one-cycle"), 100, 10, 1001)
    peak = values.index(max(values))
    assert max(values) == 1.0
    assert values[:peak] == sorted(values[:peak])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert values[1000] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_one_cycle_is_finite_on_the_shortest_runs(total):
    assert all(0 <= one_cycle(total)(step) <= 1 and math.isfinite(one_cycle(total)(step)) for step in range(5))


def test_the_period_of_warm_restarts_is_counted_in_epochs():
    found = rates(OptimizerConfig(learning_rate=1.0, period_epochs=2), 10, 9, 21)
    assert found[20] == 1.0
    assert found[19] < 0.01
