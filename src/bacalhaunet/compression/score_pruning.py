"""Pruning to a target score while training: masks that follow a schedule, and let cut weights come back.

The network computes with masked weights; the gradient goes straight through the masks to the dense weights behind
them. So a weight that is cut goes on learning what it would be worth, and returns when it earns its part of the score.
Towards the end of a run the masks are frozen and the cut weights set to zero for good.

Source: the straight-through gradient with decay of cut weights is that of Zhou et al., "Learning N:M fine-grained
structured sparse neural networks from scratch", ICLR 2021; the cubic schedule that of Zhu and Gupta, "To prune, or not
to prune", 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from bacalhaunet.compression.budget import Pattern, charged_score, masks_for_score
from bacalhaunet.cost.nonzero import stored_weight
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.spec import NetworkSpec

GRADIENT_MEMORY = 0.98
"""Share of the mean squared gradient that is kept from step to step."""


@dataclass(frozen=True)
class ScorePruningConfig:
    """How a network is pruned to a score.

    Attributes:
        every_steps: Steps between two choices of the masks.
        begin: Share of the run before the score is lowered.
        end: Share of the run at which the target is reached.
        freeze: Share of the run from which the masks stay as they are.
        criterion: Importance of a weight w: ``sensitivity``, w^2 times its mean squared gradient, which is the first-
            order change of the loss squared; ``magnitude``, w^2 over the layer's mean.
        score_aware: Whether importance is divided by what the weight adds to the score.
        regrow: Whether cut weights go on learning and may come back.
        cut_decay: Cut weights shrink by this times the learning rate at every step, so that chance alone does not
            bring them back.
        pattern: What is cut together in pointwise layers: ``single`` weights, ``pairs`` of neighbouring input
            channels, or whole input ``channels``.
    """

    every_steps: int = 20
    begin: float = 0.0
    end: float = 0.5
    freeze: float = 0.75
    criterion: Literal["sensitivity", "magnitude"] = "sensitivity"
    score_aware: bool = True
    regrow: bool = False
    cut_decay: float = 1.0
    pattern: Pattern = "single"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.every_steps < 1 or not self.cut_decay >= 0:
            raise ConfigError(
                f"pruning.every_steps is {self.every_steps}, cut_decay {self.cut_decay}",
                allowed="1 step or more, and 0 or more",
            )
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

    def freeze_step(self, steps: int) -> int:
        """Return the step after which the masks stay, of a run of ``steps`` steps."""
        return min(steps, math.ceil(self.freeze * steps))


class ScorePruning(Callback):
    """Prunes a network to a score while Lightning trains it.

    Masks and mean squared gradients are saved with every checkpoint. Weights saved from the frozen steps on are zero
    where they are cut, and the score is at most the target.

    Args:
        spec: The network's specification.
        target: Score to reach.
        config: How.
    """

    def __init__(self, spec: NetworkSpec, target: float, config: ScorePruningConfig) -> None:
        self.spec, self.target, self.config = spec, target, config
        self.masks: dict[str, Tensor] = {}
        self.squares: dict[str, Tensor] = {}
        self.start = 0.0
        self.frozen = False
        self._dense: dict[str, Tensor] = {}
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Return masks, mean squared gradients and the score at the start."""
        return {"masks": self.masks, "squares": self.squares, "start": self.start, "frozen": self.frozen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.masks, self.squares = dict(state_dict["masks"]), dict(state_dict["squares"])
        self.start, self.frozen = float(state_dict["start"]), bool(state_dict["frozen"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with every weight that is not zero, unless a checkpoint was loaded."""
        layers = self._layers(pl_module)
        self._steps = int(trainer.estimated_stepping_batches)
        if not self.masks:
            self.masks = {name: layer.weight.detach() != 0 for name, layer in layers.items()}
            self.squares = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
            self.start = charged_score(self.spec, self.masks)
        for name, layer in layers.items():
            self.masks[name] = self.masks[name].to(layer.weight.device)
            self.squares[name] = self.squares[name].to(layer.weight.device)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Let the network compute with masked weights."""
        self._mask(pl_module)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Take note of the gradients, and let the optimizer move the dense weights."""
        self._restore(pl_module)
        for name, layer in self._layers(pl_module).items():
            gradient = layer.weight.grad
            if gradient is not None and not self.frozen:
                self.squares[name].mul_(GRADIENT_MEMORY).addcmul_(gradient, gradient, value=1 - GRADIENT_MEMORY)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Shrink cut weights, and choose the masks again when it is time."""
        step, layers = trainer.global_step, self._layers(pl_module)
        with torch.no_grad():
            if not self.frozen:
                self._shrink(layers, trainer.optimizers[0].param_groups[0]["lr"])
                if step >= self.config.freeze_step(self._steps):
                    self._choose(layers, self.target)
                    self.frozen = True
                elif step % self.config.every_steps == 0:
                    self._choose(layers, self.config.score_at(step / self._steps, self.start, self.target))
            if self.frozen:
                for name, layer in layers.items():
                    layer.weight.mul_(self.masks[name])

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the masked network."""
        self._mask(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the dense weights."""
        self._restore(pl_module)

    def _choose(self, layers: dict[str, Any], target: float) -> None:
        found = {name: self._importance(name, layer).cpu() for name, layer in layers.items()}
        if not self.config.regrow:
            found = {name: value * self.masks[name].cpu() for name, value in found.items()}
        pattern, aware = self.config.pattern, self.config.score_aware
        chosen = masks_for_score(self.spec, found, target, pattern=pattern, score_aware=aware)
        for name, mask in chosen.items():
            kept = mask.to(self.masks[name].device)
            self.masks[name] = kept if self.config.regrow else kept & self.masks[name]

    def _importance(self, name: str, layer: Any) -> Tensor:
        value: Tensor = stored_weight(layer).detach().square()
        if self.config.criterion == "magnitude":
            return value / value.mean().clamp_min(1e-30)
        return value * self.squares[name]

    def _shrink(self, layers: dict[str, Any], learning_rate: float) -> None:
        keep = max(0.0, 1 - self.config.cut_decay * learning_rate) if self.config.regrow else 0.0
        for name, layer in layers.items():
            layer.weight.mul_(torch.where(self.masks[name], 1.0, keep))

    def _mask(self, module: LightningModule) -> None:
        """Mask the weights in place and keep the dense ones aside; frozen weights are masked already."""
        if self.frozen:
            return
        with torch.no_grad():
            for name, layer in self._layers(module).items():
                self._dense[name] = layer.weight.detach().clone()
                layer.weight.mul_(self.masks[name])

    def _restore(self, module: LightningModule) -> None:
        with torch.no_grad():
            for name, layer in self._layers(module).items():
                if name in self._dense:
                    layer.weight.copy_(self._dense.pop(name))

    def _layers(self, module: LightningModule) -> dict[str, Any]:
        network = module.network
        assert isinstance(network, nn.Module)
        return {layer.name: network.get_submodule(layer.name) for layer in self.spec.layers()}
