"""Iterative pruning: cut what is least important, fine-tune, and again, as the BacalhauNet report does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import nn

from bacalhaunet.compression.budget import masks_for_score
from bacalhaunet.compression.config import Importance, PruneStep
from bacalhaunet.compression.importance import check_unit, importances, layer_weights, lengths, squared_gradients
from bacalhaunet.compression.pruning import KeepZeros, Masks, apply_masks, density, magnitude_masks, masks_above
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.resume import DONE_FILE, claim_folder, once
from bacalhaunet.training.config import TrainConfig, plain
from bacalhaunet.training.fit import FitResult, fit
from bacalhaunet.training.history import Stage, earlier_stages, history_metrics, history_of, stage
from bacalhaunet.training.run import MODEL_FILE, start_network
from bacalhaunet.training.run_data import TrainingData, training_data


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

    Raises:
        ConfigError: If there is no step, ``weight_rms`` does not suit ``importance``, ``scores`` do not fall step by
            step, the folder was begun with other settings, or a step removes a whole layer.
    """
    _check(steps, importance, weight_rms, scores)
    own = {"steps": plain(steps), "importance": importance, "weight_rms": weight_rms, "scores": plain(scores)}
    with claim_folder(folder, {**plain(config), **own}):
        data = data or training_data(config)
        spec, network = start_network(config, data)
        pruning = _Pruning(config, spec, data, importance, weight_rms)
        stages = earlier_stages(config.network)
        for number, step in enumerate(steps, 1):
            part, title = folder / f"step-{number}", f"pruning step {number} of {len(steps)}"
            score = None if scores is None else scores[number - 1]
            kept = once(part / DONE_FILE, partial(pruning.run, network, step, score, stages, part, title))
            # The next step starts from the saved weights, so that a resumed run starts from the very same.
            network, stages = load_model(part / MODEL_FILE).network, history_of(part / MODEL_FILE)
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
        own = stage(
            "prune",
            plain(self.config),
            self.spec,
            result.frames_seen,
            result.validation_accuracy,
            result.curve,
            step=asdict(step),
            **{name: value for name, value in unit.items() if value is not None},
        )
        metrics = {
            "validation_accuracy": result.validation_accuracy,
            "validation_frames": sum(len(batch.labels) for batch in self.data.validation),
            **history_metrics([*stages, own]),
            **asdict(step),
            "density": density(network),
        }
        save_model(folder / MODEL_FILE, network, spec=self.spec, classes=self.data.classes, metrics=metrics)
        return {**asdict(result), "density": density(network)}

    def masks(self, network: nn.Module, step: PruneStep, score: float | None) -> Masks:
        """Choose the weights that stay: those of length epsilon or more, or the most important that a score allows."""
        spec, saliency = self.spec, self.importance == "saliency"
        weights = layer_weights(network, spec)
        squares = squared_gradients(network, spec, self.data) if saliency else {}
        if score is None:
            found = lengths(network, spec, self.importance, squares, self.weight_rms)
            return masks_above(weights, found, step.min_abs_weight)
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
