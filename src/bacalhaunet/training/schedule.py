"""Learning-rate schedules, each a factor on the peak learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Callable

from bacalhaunet.training.config import OptimizerConfig

Factor = Callable[[int], float]

WARM_UP_SHARE = 0.05
"""Share of all steps over which ``one-cycle`` rises."""


def warm_restarts(period_steps: int) -> Factor:
    """Factor ``(1 + cos(pi (s mod T) / T)) / 2`` at step s: cosine annealing that restarts every T steps.

    Args:
        period_steps: T, steps of a period, 1 or more.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5.
    """
    return lambda step: 0.5 * (1 + math.cos(math.pi * (step % period_steps) / period_steps))


def one_cycle(total_steps: int) -> Factor:
    """Factor ``(s + 1) / w`` up to step w, then one cosine down to 0 at the last step.

    Args:
        total_steps: Steps of the run; w is 5 % of them.
    """
    warm_up = max(1, round(WARM_UP_SHARE * total_steps))
    rest = max(1, total_steps - warm_up)

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / rest)))

    return factor


def schedule_factor(config: OptimizerConfig, steps_per_epoch: int, epochs: int) -> Factor:
    """Return the factor that ``config`` names, for a run of ``epochs`` times ``steps_per_epoch`` steps."""
    kinds: dict[str, Callable[[], Factor]] = {
        "warm-restarts": lambda: warm_restarts(config.period_epochs * steps_per_epoch),
        "one-cycle": lambda: one_cycle(epochs * steps_per_epoch),
    }
    return kinds[config.schedule]()
