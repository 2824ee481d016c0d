"""Successive halving on two objectives: stop a trial early if too many of its like are ahead of it.

Optuna's own pruners know one objective only. This rule is the asynchronous one of Li et al., "A System for Massively
Parallel Hyperparameter Tuning" (ASHA, MLSys 2020), within trials of similar score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bacalhaunet.errors import ConfigError


@dataclass(frozen=True)
class HalvingConfig:
    """When a trial is stopped early.

    At the epochs ``first_epoch * factor ** k`` below the last, a trial is compared with the trials that reached the
    same epoch and whose expected score is within a factor ``band`` of its own. Of n trials, itself included, those
    with the best ``max(1, ceil(n / factor))`` validation accuracies go on. With fewer than ``rivals`` others it goes
    on in any case.

    Attributes:
        first_epoch: First epoch at which trials are compared; 0 never stops one.
        factor: One in so many goes on, and the next comparison is so many times later.
        band: Largest ratio of two scores that count as similar.
        rivals: Fewest other trials for a comparison.
    """

    first_epoch: int = 1
    factor: int = 3
    band: float = 2.0
    rivals: int = 4

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, low in (("first_epoch", 0), ("factor", 2), ("band", 1), ("rivals", 1)):
            if not low <= getattr(self, name) < math.inf:
                raise ConfigError(f"halving.{name} is {getattr(self, name)!r}", allowed=f"{low} or more")

    def epochs(self, last: int) -> tuple[int, ...]:
        """Return the epochs, counted from 1, at which trials of ``last`` epochs are compared."""
        found, epoch = [], self.first_epoch
        while 0 < epoch < last:
            found.append(epoch)
            epoch *= self.factor
        return tuple(found)


@dataclass(frozen=True)
class Standing:
    """A trial at one epoch: its validation accuracy (0 to 1) and the score expected of it."""

    accuracy: float
    score: float


def is_hopeless(own: Standing, others: Iterable[Standing], config: HalvingConfig) -> bool:
    """Say whether a trial is to be stopped.

    Args:
        own: The trial.
        others: Trials that reached the same epoch, of any score.
        config: The rule.
    """
    near: Sequence[Standing] = [o for o in others if own.score / config.band <= o.score <= own.score * config.band]
    if len(near) < config.rivals:
        return False
    places = max(1, math.ceil((len(near) + 1) / config.factor))
    return sum(other.accuracy > own.accuracy for other in near) >= places
