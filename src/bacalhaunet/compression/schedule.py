"""Pruning to a target score while training: masks that follow a schedule, and let cut weights come back.

Cut weights are zero, but their gradients are known: they say what a weight would change. At each choice of the masks
a small share of the score may be given from the least important weights to cut ones with a larger gradient, which start
again from zero. Towards the end of a run the masks are frozen.

Source: the exchange is that of Evci et al., "Rigging the lottery: making all tickets winners", ICML 2020, with prices;
the cubic schedule that of Zhu and Gupta, "To prune, or not to prune", 2017.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from bacalhaunet.compression.budget import charged_score, least_score, masks_for_score, network_cost
from bacalhaunet.compression.config import ScorePruningConfig
from bacalhaunet.compression.importance import IMPORTANCES
from bacalhaunet.compression.pruning import KeepZeros
from bacalhaunet.cost.analytic import stored_weight
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.fit import FitResult, fit
from bacalhaunet.training.run_data import TrainingData

GRADIENT_MEMORY = 0.98
"""Share of the mean gradient and the mean squared gradient that is kept from step to step."""


class ScorePruning(KeepZeros):
    """Prunes a network to a score while Lightning trains it.

    Masks and mean gradients are saved with every checkpoint. Weights are zero where they are cut, and from the frozen
    steps on the score is at most the target.

    Args:
        spec: The network's specification.
        target: Score to reach.
        config: How.
    """

    def __init__(self, spec: NetworkSpec, target: float, config: ScorePruningConfig) -> None:
        super().__init__({})
        self.spec, self.target, self.config = spec, target, config
        self.means: dict[str, Tensor] = {}
        self.squares: dict[str, Tensor] = {}
        self.start = 0.0
        self.frozen = False
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Return masks, mean and mean squared gradients and the score at the start."""
        kept = {"masks": self.masks, "means": self.means, "squares": self.squares}
        return {**kept, "start": self.start, "frozen": self.frozen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.masks, self.means = dict(state_dict["masks"]), dict(state_dict["means"])
        self.squares = dict(state_dict["squares"])
        self.start, self.frozen = float(state_dict["start"]), bool(state_dict["frozen"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with every weight that is not zero, unless a checkpoint was loaded."""
        layers = self._layers(pl_module)
        self._steps = int(trainer.estimated_stepping_batches)
        if not self.masks:
            self.masks = {name: layer.weight.detach() != 0 for name, layer in layers.items()}
            self.means = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
            self.squares = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
            self.start = charged_score(self.spec, self.masks)
        super().on_train_start(trainer, pl_module)
        for name, layer in layers.items():
            for kept in (self.means, self.squares):
                kept[name] = kept[name].to(layer.weight.device)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Take note of the gradients, those of cut weights too, then leave the optimizer those of kept ones."""
        known = self.gradients(pl_module)
        if known and not self.frozen:
            gradients, squares = list(known.values()), [self.squares[name] for name in known]
            torch._foreach_lerp_([self.means[name] for name in known], gradients, 1 - GRADIENT_MEMORY)
            torch._foreach_mul_(squares, GRADIENT_MEMORY)
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - GRADIENT_MEMORY)
        super().on_before_optimizer_step(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Choose the masks again when it is time, and undo what the optimizer did to cut weights."""
        step, layers = trainer.global_step, self._layers(pl_module)
        with torch.no_grad():
            if not self.frozen and step >= self.config.freeze_step(self._steps):
                self._choose(layers, self.target, 0.0)
                self.frozen = True
            elif not self.frozen and step % self.config.every_steps == 0:
                done = step / self._steps
                score = self.config.score_at(done, self.start, self.target)
                self._choose(layers, score, self.config.exchange_at(done))
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def _choose(self, layers: dict[str, Any], target: float, exchange: float) -> None:
        """Keep the most important weights; give a share of the score to cut ones with large gradients."""
        before = {name: mask.cpu() for name, mask in self.masks.items()}
        # A kept weight of no importance still comes before a cut one, so that no layer is left empty.
        importance = {n: ((self._importance(n, layer) + 1e-30) * self.masks[n]).cpu() for n, layer in layers.items()}
        how: dict[str, Any] = {"pattern": self.config.pattern, "score_aware": self.config.score_aware}
        lowest = least_score(self.spec, self.config.pattern)
        chosen = masks_for_score(self.spec, importance, max((1 - exchange) * target, min(target, lowest)), **how)
        chosen = {name: mask & before[name] for name, mask in chosen.items()}
        if exchange > 0:
            growth = {name: self._growth(name, layer).cpu() for name, layer in layers.items()}
            chosen = masks_for_score(self.spec, growth, target, kept=chosen, **how)
        self.masks = {name: mask.to(self.masks[name].device) for name, mask in chosen.items()}

    def _importance(self, name: str, layer: Any) -> Tensor:
        importance = IMPORTANCES[self.config.importance]
        return importance(stored_weight(layer).detach(), self._mean_squares(name, layer))

    def _mean_squares(self, name: str, layer: Any) -> Tensor:
        """Return the mean squared gradient; at least the layer's mean for weights beyond a learned threshold.

        Their level is cut off and with it their gradient: the largest weights would look as if nothing depended on
        them. To bring them back to the threshold instead lets it shrink to nothing: it never grows with them again.
        """
        squares, threshold = self.squares[name], getattr(layer, "learned_threshold", None)
        if threshold is None:
            return squares
        beyond = layer.weight.detach().abs() >= threshold.detach().abs()
        within = self.masks[name] & ~beyond
        usual = (squares * within).sum() / within.sum().clamp_min(1)
        return torch.where(beyond, torch.maximum(squares, usual), squares)

    def _growth(self, name: str, layer: Any) -> Tensor:
        """Return what a weight of the layer's usual size would change: its mean square times the mean gradient's."""
        usual: Tensor = layer.weight.detach().square().sum() / self.masks[name].sum().clamp_min(1)
        return self.means[name].square() * usual

    def _layers(self, module: LightningModule) -> dict[str, Any]:
        network = self.network(module)
        return {layer.name: network.get_submodule(layer.name) for layer in self.spec.layers()}


def prune_to_score(
    network: nn.Module,
    spec: NetworkSpec,
    target: float,
    pruning: ScorePruningConfig,
    data: TrainingData,
    config: TrainConfig,
    folder: Path,
    title: str = "pruning",
) -> FitResult:
    """Prune ``network`` in place to a score and train it on, resuming from ``folder`` if a checkpoint lies there.

    Args:
        network: A trained network. On a resumed call it must be the same one as in the first call.
        spec: Its specification.
        target: The score to reach. A network that is below it already is trained on with its zeros kept.
        pruning: How.
        data: Training and validation batches.
        config: Settings of the training, a teacher included.
        folder: Where checkpoints, logs and the curve go.
        title: Start of the progress lines.

    Returns:
        What the training gave; the network holds the weights with the best validation accuracy among those of the
        epochs that ended with frozen masks.

    Raises:
        ConfigError: If the target asks for less than something of each layer.
    """
    batches = data.batches()
    target = min(target, network_cost(network, spec).score)
    freeze = pruning.freeze_step(config.epochs * len(batches))
    return fit(
        network,
        batches,
        data.validation,
        config,
        folder,
        classes=len(data.classes),
        title=title,
        callbacks=[ScorePruning(spec, target, pruning)],
        keep_from_epoch=max(1, -(-freeze // len(batches))),
    )
