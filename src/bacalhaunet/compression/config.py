"""Settings of a compression. One YAML file holds them all; dotted overrides change one at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.fields import MAX_BITS, MIN_BITS, Bounds, check_settings
from bacalhaunet.training.config import BitsConfig, DistillationConfig, OptimizerConfig, TrainConfig, TrainingSettings

Importance = Literal["magnitude", "layer-rms", "saliency"]
"""How important a weight is; see ``compression.importance``."""

Pattern = Literal["single", "pairs", "channels"]
"""What is cut together in pointwise layers: one weight; an output's weights for two neighbouring input channels, which
the native engine multiplies at once; or all weights of an input channel."""


@dataclass(frozen=True)
class PruneStep:
    """One iteration.

    Attributes:
        weight_decay: lambda, the L2 penalty while fine-tuning.
        min_abs_weight: epsilon; every weight whose length is below it is set to zero first, and stays zero.
    """

    weight_decay: float
    min_abs_weight: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_settings(self, "steps", weight_decay=Bounds(0, 1), min_abs_weight=Bounds(0))


REPORT_STEPS: tuple[PruneStep, ...] = (PruneStep(5e-5, 0.15), PruneStep(1e-4, 0.25), PruneStep(5e-5, 0.25))
"""The three iterations of the BacalhauNet report (figure 5, the selected path)."""


@dataclass(frozen=True)
class ScorePruningConfig:
    """How a network is pruned to a score.

    Attributes:
        every_steps: Steps between two choices of the masks.
        begin: Share of the run before the score is lowered.
        end: Share of the run at which the target is reached.
        freeze: Share of the run from which the masks stay as they are.
        importance: Importance of a weight w: ``saliency``, w^2 times its mean squared gradient, which is the first-
            order change of the loss squared; ``layer-rms``, w^2 over the layer's mean; ``magnitude``, w^2.
        score_aware: Whether importance is divided by what the weight adds to the score.
        regrow: Whether cut weights may come back.
        exchange: Largest share of the score that is given to cut weights at a choice; it falls as a cosine to 0 at
            ``freeze``.
        pattern: What is cut together in pointwise layers: ``single`` weights, ``pairs`` of neighbouring input
            channels, or whole input ``channels``.
    """

    every_steps: int = 20
    begin: float = 0.0
    end: float = 0.5
    freeze: float = 0.75
    importance: Importance = "saliency"
    score_aware: bool = True
    regrow: bool = False
    exchange: float = 0.1
    pattern: Pattern = "single"

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_settings(self, "pruning", every_steps=Bounds(1), exchange=Bounds(0, 0.99))
        if not 0 <= self.begin <= self.end <= self.freeze <= 1:
            raise ConfigError(
                f"pruning begins at {self.begin}, ends at {self.end} and freezes at {self.freeze}",
                allowed="0 <= begin <= end <= freeze <= 1",
            )

    def score_at(self, progress: float, start: float, target: float) -> float:
        """Return ``target + (start - target) (1 - t)^3`` with t rising from 0 at ``begin`` to 1 at ``end``.

        Args:
            progress: Share of the run that is done, 0 to 1.
            start: Score at the beginning.
            target: Score at the end.
        """
        span = max(self.end - self.begin, 1e-9)
        passed = min(1.0, max(0.0, (progress - self.begin) / span))
        return target + (start - target) * (1 - passed) ** 3

    def exchange_at(self, progress: float) -> float:
        """Return the share of the score that may change hands, ``exchange (1 + cos(pi t / freeze)) / 2``."""
        if not self.regrow or progress >= self.freeze:
            return 0.0
        return self.exchange * 0.5 * (1 + math.cos(math.pi * progress / self.freeze))

    def freeze_step(self, steps: int) -> int:
        """Return the step after which the masks stay, of a run of ``steps`` steps."""
        return min(steps, math.ceil(self.freeze * steps))


@dataclass(frozen=True)
class AllocationConfig:
    """The search for the bits of each layer, after the last uniform step.

    Attributes:
        factor: Bits are lowered one by one until the score is at most this times what it was; 1 leaves them.
        least_bits: Fewest bits anywhere.
        frames: Validation frames, drawn from all, that each lowering's loss is measured on.
    """

    factor: float = 0.85
    least_bits: int = 3
    frames: int = 2048

    def __post_init__(self) -> None:
        """Check the ranges."""
        share, bits = Bounds(0, 1, above=True), Bounds(MIN_BITS, MAX_BITS)
        check_settings(self, "allocation", factor=share, least_bits=bits, frames=Bounds(1))


@dataclass(frozen=True)
class CompressConfig(TrainingSettings):
    """A compression from a network to a cheap one. One of ``target_score`` and ``min_accuracy`` is given.

    Attributes:
        network: A name of the catalog, a specification (YAML or JSON), a saved model or the name of a shipped one.
            One without weights is trained first.
        target_score: Score to reach.
        min_accuracy: Validation accuracy to keep, 0 to 1: bits and weights go while the accuracy stays.
        bits: Bits of weights, activations and sums, one uniform step after another; those above what the network has
            are passed over. Empty leaves the bits.
        input_bits: Bits of the input in those steps.
        quantize_sums: Whether residual sums get those bits too; unquantized ones are charged 32.
        shared_sums: Whether both inputs of a quantized residual sum go through one quantizer from those steps on.
        learned_steps: Whether the steps of quantized weights are learned from the first change of bits on.
        allocation: The search for the bits of each layer.
        pruning: How weights are pruned to the target.
        prune_factor: With ``min_accuracy``: score of a pruning over that of the one before.
        start_epochs: Epochs of the first training of a network without weights.
        bits_epochs: Epochs after every change of bits.
        prune_epochs: Epochs of a pruning, fine-tuning included.
        norm_batches: Training batches that BatchNorm statistics are estimated on in the end; 0 leaves them.
        distillation: A teacher for all trainings; None learns from the labels alone.
        optimizer: The optimizer and its schedule, for every training.
        seed: Decides frames and drawn weights. Every training of the compression has its own frames.
    """

    network: str = "bacalhaunet"
    target_score: float | None = None
    min_accuracy: float | None = None
    bits: tuple[int, ...] = (6, 5)
    input_bits: int = 8
    quantize_sums: bool = True
    shared_sums: bool = True
    learned_steps: bool = True
    allocation: AllocationConfig = field(default_factory=AllocationConfig)
    pruning: ScorePruningConfig = field(default_factory=ScorePruningConfig)
    prune_factor: float = 0.8
    start_epochs: int = 10
    bits_epochs: int = 5
    prune_epochs: int = 10
    norm_batches: int = 20
    distillation: DistillationConfig | None = None
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(schedule="one-cycle"), kw_only=True)

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        object.__setattr__(self, "bits", tuple(self.bits))
        if (self.target_score is None) == (self.min_accuracy is None):
            raise ConfigError(
                f"the target score is {self.target_score} and the least accuracy {self.min_accuracy}",
                allowed="one of the two",
                action="pass --target-score or --min-accuracy",
            )
        bits = Bounds(MIN_BITS, MAX_BITS)
        check_settings(
            self,
            target_score=Bounds(0, above=True, null="--min-accuracy"),
            min_accuracy=Bounds(0, 1, above=True, null="--target-score"),
            prune_factor=Bounds(0, 0.99, above=True),
            input_bits=bits,
            norm_batches=Bounds(0),
        )
        check_settings(self, start_epochs=Bounds(1), bits_epochs=Bounds(1), prune_epochs=Bounds(1))
        if not all(number in bits for number in self.bits):
            raise ConfigError(f"bits are {list(self.bits)}", allowed=f"{bits} each")

    def step_training(self, network: str, epochs: int, number: int) -> TrainConfig:
        """Return the settings of training ``number`` of the compression; each has frames of its own."""
        seed = (self.seed + 1000 * number) % 2**31
        return self.training(network, epochs, seed=seed, distillation=self.distillation)

    def uniform(self, bits: int) -> BitsConfig:
        """Return the bits of one uniform step."""
        sums = self.quantize_sums
        return BitsConfig(bits, bits, self.input_bits, bits if sums else None, self.shared_sums and sums)
