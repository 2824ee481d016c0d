"""Iterative pruning: cut what is least important, fine-tune while zeros stay, and again, as the report does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from bacalhaunet.compression.budget import masks_for_score
from bacalhaunet.compression.config import Importance, PruneStep
from bacalhaunet.compression.importance import check_unit, importances, layer_weights, lengths, squared_gradients
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.resolve import MODEL_FILE
from bacalhaunet.models.saved import load_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.resume import DONE_FILE, claim_folder, once
from bacalhaunet.training.config import TrainConfig, plain
from bacalhaunet.training.fit import FitResult, fit
from bacalhaunet.training.history import HISTORY, Stage, earlier_stages, stage
from bacalhaunet.training.run import save_trained, start_network, with_model_files
from bacalhaunet.training.run_data import TrainingData, training_data

Masks = Mapping[str, Tensor]
"""For each prunable layer, by module name, a bool tensor of its weight's shape: True where a weight may be non-zero."""


def prunable_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of all convolutions and dense layers by module name.

    Biases, batch normalization and quantizer scales are not pruned: the score charges nothing for them.
    """
    return {
        name: module.weight
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)
    }


def masks_above(
    weights: Mapping[str, Tensor], values: Mapping[str, Tensor], min_abs_weight: float
) -> dict[str, Tensor]:
    """Mask ``v >= epsilon`` and ``w != 0`` for each layer.

    Args:
        weights: w by layer.
        values: v, 0 or more, by layer: ``|w|``, or what ``importance.lengths`` returns.
        min_abs_weight: epsilon of the BacalhauNet report, 0 or more. With 0 the masks are True exactly where weights
            are non-zero now.

    Raises:
        ConfigError: If epsilon is negative or not a number, or would remove every weight of a layer.
    """
    if not min_abs_weight >= 0:
        raise ConfigError(f"min_abs_weight is {min_abs_weight}", allowed="0 or more")
    masks = {}
    for name, value in values.items():
        mask = (value >= min_abs_weight) & (weights[name].detach() != 0)
        if not bool(mask.any()):
            raise ConfigError(
                f"min_abs_weight {min_abs_weight} removes every weight of {name}",
                allowed=f"at most {float(value.max()):.4g}, the layer's largest",
                action="prune less, or train longer before pruning",
            )
        masks[name] = mask
    return masks


def magnitude_masks(network: nn.Module, min_abs_weight: float) -> dict[str, Tensor]:
    """Mask ``|w| >= epsilon`` and ``w != 0`` for each prunable weight of any network; see ``masks_above``."""
    weights = prunable_weights(network)
    return masks_above(weights, {name: weight.detach().abs() for name, weight in weights.items()}, min_abs_weight)


def keep_last_weights(weights: Mapping[str, Tensor], masks: Masks) -> dict[str, Tensor]:
    """Keep the largest weight of each filter that the masks would take all weights of.

    A normalization follows a filter, so with one weight left it gives the same whatever that weight is: the gradient is
    0, and a saliency of first order says nothing of what the loss of the filter costs. BacalhauNet's first pointwise
    layer has filters of two weights; without this rule a third pruning took one of its ten, and 3 points with it.

    Args:
        weights: w by layer, filters along the first axis.
        masks: Masks of the same layers; they are not changed.
    """
    kept = {}
    for name, mask in masks.items():
        size, rows = weights[name].detach().abs().flatten(1), mask.flatten(1).clone()
        lost = (size.amax(1) > 0) & ~rows.any(1)
        rows[lost, size[lost].argmax(1)] = True
        kept[name] = rows.reshape(mask.shape)
    return kept


def apply_masks(network: nn.Module, masks: Masks) -> None:
    """Set every masked-out weight to zero, in place."""
    weights = prunable_weights(network)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask.to(weights[name].device))


def density(network: nn.Module) -> float:
    """Share of prunable weights that are not zero."""
    weights = prunable_weights(network).values()
    return sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)


class KeepZeros(Callback):
    """Give the optimizer the gradients of kept weights only, and set the others back to zero after every step.

    Adam's moments and the penalty's gradient would otherwise bring a pruned weight back; Muon's step, which depends on
    a layer's whole gradient, would follow that of pruned weights too. Place it before callbacks that save weights.
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = dict(masks)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prune before the first step."""
        weights = prunable_weights(self.network(pl_module))
        self.masks = {name: mask.to(weights[name].device) for name, mask in self.masks.items()}
        apply_masks(self.network(pl_module), self.masks)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Take pruned weights' gradients away."""
        gradients = self.gradients(pl_module)
        if gradients:
            torch._foreach_mul_(list(gradients.values()), [self.masks[name] for name in gradients])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Undo what the step did to pruned weights."""
        apply_masks(self.network(pl_module), self.masks)

    def gradients(self, module: LightningModule) -> dict[str, Tensor]:
        """Return the gradients of the masked layers' weights that have one."""
        weights = prunable_weights(self.network(module))
        return {name: grad for name in self.masks if (grad := weights[name].grad) is not None}

    @staticmethod
    def network(module: LightningModule) -> nn.Module:
        """Return what Lightning trains."""
        network = module.network
        assert isinstance(network, nn.Module)
        return network


def prune_step(
    network: nn.Module,
    step: PruneStep,
    data: TrainingData,
    config: TrainConfig,
    folder: Path,
    title: str = "pruning",
    masks: Masks | None = None,
) -> FitResult:
    """Prune ``network`` in place by ``step`` and fine-tune it, resuming from ``folder`` if a checkpoint lies there.

    Args:
        network: A trained network. On a resumed call it must be the same one as in the first call.
        step: lambda and epsilon.
        data: Training and validation batches.
        config: Settings of the fine-tuning; its weight decay is replaced by the step's.
        folder: Where checkpoints, logs and the curve go.
        title: Start of the progress lines.
        masks: Where weights may be non-zero; None for those of epsilon or more.

    Returns:
        What the fine-tuning gave; the network holds the weights with the best validation accuracy.
    """
    masks = magnitude_masks(network, step.min_abs_weight) if masks is None else masks
    apply_masks(network, masks)
    return fit(
        network,
        data.batches(),
        data.validation,
        config.with_weight_decay(step.weight_decay),
        folder,
        classes=len(data.classes),
        title=title,
        callbacks=[KeepZeros(masks)],
    )


@dataclass(frozen=True)
class PrunedRun:
    """What one iteration left.

    Attributes:
        model: The saved model.
        density: Share of prunable weights that are not zero.
        result: Accuracy, frames, time and curve of the fine-tuning.
    """

    model: Path
    density: float
    result: FitResult


def prune(
    config: TrainConfig,
    steps: Sequence[PruneStep],
    folder: Path,
    *,
    importance: Importance = "magnitude",
    weight_rms: float | None = None,
    scores: Sequence[float] | None = None,
    data: TrainingData | None = None,
    title: str | None = None,
) -> Iterator[PrunedRun]:
    """Prune the network ``config`` names by one step after another, and yield what each left.

    Every step starts from the network the one before it left. A run that was interrupted goes on in the step it was
    in, and the steps before it are read back.

    Args:
        config: The network and the settings of every fine-tuning.
        steps: lambda and epsilon of each iteration.
        folder: Gets ``config.yaml`` and a folder ``step-N`` for each iteration.
        importance: What epsilon is compared with, or what is cut first; see ``compression.importance``.
        weight_rms: The root mean square of those lengths, so that epsilon means the same for every network. Only
            ``magnitude`` takes the weights as they are, and has none.
        scores: The score each step is to reach: epsilon is then kept on record and decides nothing, and the least
            important weights go, ``saliency`` per score. None prunes by epsilon.
        data: Frames, if they are open already; else those ``config`` names.
        title: Start of the progress lines; None counts the steps.

    Raises:
        ConfigError: If there is no step, ``weight_rms`` does not suit ``importance``, ``scores`` do not fall step by
            step, the folder was begun with other settings, or a step removes a whole layer.
    """
    _check(steps, importance, weight_rms, scores)
    config = with_model_files(config)
    own = {"steps": plain(steps), "importance": importance, "weight_rms": weight_rms, "scores": plain(scores)}
    with claim_folder(folder, {**plain(config), **own}):
        data = data or training_data(config)
        spec, network = start_network(config, data)
        pruning = _Pruning(config, spec, data, importance, weight_rms)
        stages = earlier_stages(config.network)
        for number, step in enumerate(steps, 1):
            part, words = folder / f"step-{number}", title or f"pruning step {number} of {len(steps)}"
            score = None if scores is None else scores[number - 1]
            kept = once(part / DONE_FILE, partial(pruning.run, network, step, score, stages, part, words))
            # The next step starts from the saved weights, so that a resumed run starts from the very same.
            saved = load_model(part / MODEL_FILE)
            network, stages = saved.network, saved.metrics[HISTORY]
            yield PrunedRun(part / MODEL_FILE, kept.pop("density"), FitResult.from_dict(kept))


@dataclass(frozen=True)
class _Pruning:
    """What all steps of a pruning share."""

    config: TrainConfig
    spec: NetworkSpec
    data: TrainingData
    importance: Importance
    weight_rms: float | None

    def run(
        self,
        network: nn.Module,
        step: PruneStep,
        score: float | None,
        stages: Sequence[Stage],
        folder: Path,
        title: str,
    ) -> dict[str, Any]:
        """Do one step, save the network it leaves, and return what it gave."""
        masks = self.masks(network, step, score)
        result = prune_step(network, step, self.data, self.config, folder, title, masks)
        unit = {"importance": self.importance, "weight_rms": self.weight_rms, "score": score}
        own = {name: value for name, value in unit.items() if value is not None}
        after = [*stages, stage("prune", plain(self.config), self.spec, result, step=asdict(step), **own)]
        more = {**asdict(step), "density": density(network)}
        save_trained(folder, network, self.spec, self.data, result.validation_accuracy, after, **more)
        return {**asdict(result), "density": density(network)}

    def masks(self, network: nn.Module, step: PruneStep, score: float | None) -> Masks:
        """Choose the weights that stay: those of length epsilon or more, or the most important that a score allows."""
        spec, saliency = self.spec, self.importance == "saliency"
        weights = layer_weights(network, spec)
        squares = squared_gradients(network, spec, self.data) if saliency else {}
        if score is None:
            found = lengths(network, spec, self.importance, squares, self.weight_rms)
            masks = masks_above(weights, found, step.min_abs_weight)
            return keep_last_weights(weights, masks) if saliency else masks
        found = importances(network, spec, self.importance, squares)
        chosen = masks_for_score(spec, found, score, score_aware=saliency)
        return {name: mask & (weights[name] != 0) for name, mask in chosen.items()}


def _check(
    steps: Sequence[PruneStep], importance: Importance, weight_rms: float | None, scores: Sequence[float] | None
) -> None:
    if not steps:
        raise ConfigError(
            "there is no pruning step", allowed="one or more", action="leave --steps out for the report's"
        )
    if scores is None:
        check_unit(importance, weight_rms)
        return
    falling = all(after < before for before, after in pairwise(scores))
    if len(scores) != len(steps) or not falling or not scores[-1] > 0 or weight_rms is not None:
        raise ConfigError(
            f"scores are {list(scores)} for {len(steps)} steps, weight_rms is {weight_rms}",
            allowed="one score above 0 a step, each lower than the one before, and no weight_rms",
        )
