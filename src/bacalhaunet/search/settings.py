"""Settings of a search, the same for every worker of a study, and the rule that stops a trial early.

The rule is successive halving on two objectives: Optuna's own pruners know one only. It is the asynchronous one of Li
et al., "A System for Massively Parallel Hyperparameter Tuning" (ASHA, MLSys 2020), within trials of similar score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import yaml

from bacalhaunet.models.fields import MAX_BITS, MIN_BITS, Bounds, check_settings
from bacalhaunet.search.space import SearchSpace
from bacalhaunet.training.config import DataConfig, OptimizerConfig, TrainingSettings, plain


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
        check_settings(self, "halving", first_epoch=Bounds(0), factor=Bounds(2), band=Bounds(1), rivals=Bounds(1))

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


STARTS = ("bacalhaunet", "prototype", *(f"figure4a-{number:02d}" for number in range(1, 14)))
"""Networks of the catalog a search begins with: the winner, its prototype, the architectures of figure 4a."""

_OWN_BUSINESS = ("trials", "threads", "accelerator", "heartbeat_seconds")


@dataclass(frozen=True)
class SearchConfig(TrainingSettings):
    """A search.

    Attributes:
        trials: Trials of the whole study, over all workers.
        space: What may be chosen.
        starts: Networks tried first: names of the catalog or specifications (YAML or JSON). Those outside the space
            are passed over.
        start_bits: Bits of the weights, activations and sums of a start that is in float.
        sampler: How the next trial is chosen: ``tpe`` (multivariate tree-structured Parzen estimator), ``nsga2``
            (genetic) or ``random``.
        epochs: Epochs of a trial.
        prune_epochs: Epochs of fine-tuning after pruning.
        prune_weight_decay: L2 penalty while fine-tuning, with ``magnitude``.
        prune_by: How weights are pruned: ``magnitude``, the smallest of all layers at once; ``score``, while
            fine-tuning, those of least importance for what they cost, to the score that the pruned share stands for.
        halving: When a trial is stopped early.
        data: Where frames come from. All trials train on the same and are compared on the same validation frames.
        seed: Decides what is chosen, initial weights and frames. One worker with the same seed runs the same trials.
        heartbeat_seconds: Seconds between two signs of life of a worker. A trial whose worker gave none for four
            times as long is taken up again by another.
        max_retries: How often a trial whose worker died is taken up again.
    """

    trials: int = 100
    space: SearchSpace = field(default_factory=SearchSpace)
    starts: tuple[str, ...] = STARTS
    start_bits: int = 6
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    epochs: int = 9
    prune_epochs: int = 3
    prune_weight_decay: float = 1e-4
    prune_by: Literal["magnitude", "score"] = "magnitude"
    halving: HalvingConfig = field(default_factory=HalvingConfig)
    heartbeat_seconds: int = 30
    max_retries: int = 3
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(schedule="one-cycle"), kw_only=True)
    data: DataConfig = field(default_factory=lambda: DataConfig(frames_per_epoch=20_480), kw_only=True)
    batch_size: int = field(default=256, kw_only=True)
    checkpoint_every_steps: int = field(default=50, kw_only=True)

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        object.__setattr__(self, "starts", tuple(self.starts))
        check_settings(
            self,
            trials=Bounds(1),
            epochs=Bounds(1),
            prune_epochs=Bounds(1),
            heartbeat_seconds=Bounds(1),
            max_retries=Bounds(0),
            start_bits=Bounds(MIN_BITS, MAX_BITS),
            prune_weight_decay=Bounds(0, 1),
        )

    def to_yaml(self) -> str:
        """Return every setting as YAML; ``search run --config`` takes it back."""
        return yaml.safe_dump(plain(self), sort_keys=False)

    def agreed(self) -> str:
        """Return as YAML the settings that all workers of a study share.

        Of a data file the name counts: it may lie in another folder on another machine.
        """
        values = plain(self)
        for name in _OWN_BUSINESS:
            del values[name]
        if self.data.file is not None:
            values["data"]["file"] = self.data.file.name
        text: str = yaml.safe_dump(values)
        return text
