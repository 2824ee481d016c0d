"""Iterative magnitude pruning: prune, fine-tune, and again, as the BacalhauNet report does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from torch import nn

from bacalhaunet.compression.filter_thresholds import (
    masks_by_filter,
    masks_by_length,
    rescale_weights,
    squared_gradients,
)
from bacalhaunet.compression.pruning import KeepZeros, Masks, apply_masks, density, magnitude_masks
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.resume import DONE_FILE, claim_folder, once
from bacalhaunet.training.config import TrainConfig, plain
from bacalhaunet.training.fit import FitResult, fit
from bacalhaunet.training.history import Stage, earlier_stages, history_metrics, history_of, stage
from bacalhaunet.training.run import MODEL_FILE, start_network
from bacalhaunet.training.run_data import TrainingData, training_data

Unit = Literal["layer", "worth"]
"""What the root mean square of weights is taken over, and in what units."""


@dataclass(frozen=True)
class PruneStep:
    """One iteration.

    Attributes:
        weight_decay: lambda, the L2 penalty while fine-tuning.
        min_abs_weight: epsilon; every weight below it in magnitude is set to zero first, and stays zero.
    """

    weight_decay: float
    min_abs_weight: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (0 <= self.weight_decay <= 1 and 0 <= self.min_abs_weight < float("inf")):
            raise ConfigError(
                f"a pruning step is ({self.weight_decay}, {self.min_abs_weight})",
                allowed="weight_decay 0 to 1 and min_abs_weight 0 or more",
            )


REPORT_STEPS: tuple[PruneStep, ...] = (PruneStep(5e-5, 0.15), PruneStep(1e-4, 0.25), PruneStep(5e-5, 0.25))
"""The three iterations of the BacalhauNet report (figure 5, the selected path)."""


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
    weight_rms: float | None = None,
    weight_unit: Unit = "layer",
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
        weight_rms: The root mean square of the lengths that epsilon is compared with, so that it means the same for
            every network; None takes the weights as they are.
        weight_unit: With ``weight_rms``: ``"layer"`` brings each normalized layer's weights to it before every step,
            by ``rescale_weights``; ``"worth"`` measures them in the units of ``filter_thresholds.masks_by_length``.
        scores: The score each step is to reach, by the thresholds of ``filter_thresholds.masks_by_filter``; epsilon is
            then kept on record and decides nothing. None prunes by epsilon.
        data: Frames, if they are open already; else those ``config`` names.

    Raises:
        ConfigError: If there is no step, ``weight_rms`` is not above 0 or missing, ``scores`` do not fall step by
            step, the folder was begun with other settings, or a step removes a whole layer.
    """
    _check(steps, weight_rms, weight_unit, scores)
    own = _own_settings(steps, weight_rms, weight_unit, scores)
    with claim_folder(folder, {**plain(config), **own}):
        data = data or training_data(config)
        spec, network = start_network(config, data)
        stages = earlier_stages(config.network)
        for number, step in enumerate(steps, 1):
            part, title = folder / f"step-{number}", f"pruning step {number} of {len(steps)}"
            score = None if scores is None else scores[number - 1]
            masks = partial(_masks, network, spec, step, data, weight_rms, weight_unit, score)
            kept = once(
                part / DONE_FILE, partial(_pruned, network, spec, step, data, config, part, title, masks, stages)
            )
            # The next step starts from the saved weights, so that a resumed run starts from the very same.
            network, stages = load_model(part / MODEL_FILE).network, history_of(part / MODEL_FILE)
            yield PrunedRun(part / MODEL_FILE, kept.pop("density"), FitResult.from_dict(kept))


def _pruned(
    network: nn.Module,
    spec: NetworkSpec,
    step: PruneStep,
    data: TrainingData,
    config: TrainConfig,
    folder: Path,
    title: str,
    masks: Callable[[], tuple[Masks, dict[str, float | str]]],
    stages: Sequence[Stage],
) -> dict[str, Any]:
    """Do one step and save the network it leaves."""
    chosen, how = masks()
    result = prune_step(network, step, data, config, folder, title, chosen)
    _save(folder, network, spec, data, result, step, [*stages, _stage(config, spec, result, step, how)])
    return {**asdict(result), "density": density(network)}


def _save(
    folder: Path,
    network: nn.Module,
    spec: NetworkSpec,
    data: TrainingData,
    result: FitResult,
    step: PruneStep,
    stages: Sequence[Stage],
) -> None:
    metrics = {
        "validation_accuracy": result.validation_accuracy,
        "validation_frames": sum(len(batch.labels) for batch in data.validation),
        **history_metrics(stages),
        **asdict(step),
        "density": density(network),
    }
    save_model(folder / MODEL_FILE, network, spec=spec, classes=data.classes, metrics=metrics)


def _own_settings(
    steps: Sequence[PruneStep], weight_rms: float | None, weight_unit: Unit, scores: Sequence[float] | None
) -> dict[str, object]:
    """Return what a pruning's settings have beside a training's; what is left at its default is left out."""
    own: dict[str, object] = {"steps": [asdict(step) for step in steps]}
    if weight_rms is not None:
        own["weight_rms"] = weight_rms
    if weight_unit != "layer":
        own["weight_unit"] = weight_unit
    if scores is not None:
        own["scores"] = list(scores)
    return own


def _masks(
    network: nn.Module,
    spec: NetworkSpec,
    step: PruneStep,
    data: TrainingData,
    weight_rms: float | None,
    weight_unit: Unit,
    score: float | None,
) -> tuple[Masks, dict[str, float | str]]:
    """Return the masks of one step, and how the history tells them."""
    if score is not None:
        return masks_by_filter(network, spec, squared_gradients(network, spec, data), score), {"score": score}
    if weight_rms is None:
        return magnitude_masks(network, step.min_abs_weight), {}
    if weight_unit == "worth":
        squares = squared_gradients(network, spec, data)
        masks = masks_by_length(network, spec, squares, step.min_abs_weight, weight_rms)
        return masks, {"weight_rms": weight_rms, "weight_unit": weight_unit}
    rescale_weights(network, weight_rms)
    return magnitude_masks(network, step.min_abs_weight), {"weight_rms": weight_rms}


def _stage(
    config: TrainConfig, spec: NetworkSpec, result: FitResult, step: PruneStep, how: Mapping[str, float | str]
) -> Stage:
    """Describe one step for the history of the saved model."""
    accuracy, curve = result.validation_accuracy, result.curve
    return stage("prune", plain(config), spec, result.frames_seen, accuracy, curve, step=asdict(step), **how)


def _check(
    steps: Sequence[PruneStep], weight_rms: float | None, weight_unit: Unit, scores: Sequence[float] | None
) -> None:
    if not steps:
        raise ConfigError(
            "there is no pruning step", allowed="one or more", action="leave --steps out for the report's"
        )
    if weight_rms is not None and not weight_rms > 0:
        raise ConfigError(f"weight_rms is {weight_rms}", allowed="above 0, or null to leave the weights")
    if weight_unit != "layer" and weight_rms is None:
        raise ConfigError(
            f"weight_unit is {weight_unit!r} and weight_rms is None",
            allowed="a weight_rms above 0",
            action="pass --weight_rms too",
        )
    if scores is None:
        return
    falling = all(after < before for before, after in pairwise(scores))
    if len(scores) != len(steps) or not falling or not scores[-1] > 0 or weight_rms is not None:
        raise ConfigError(
            f"scores are {list(scores)} for {len(steps)} steps, weight_rms is {weight_rms}",
            allowed="one score above 0 a step, each lower than the one before, and no weight_rms",
        )
