"""One training run from its settings to a saved model in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.network import build_network
from bacalhaunet.models.resolve import MODEL_FILE, resolve_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.models.states import clear_dead_filters, fit_thresholds, transfer_state
from bacalhaunet.resume import DONE_FILE, claim_folder, once
from bacalhaunet.training.config import BitsConfig, TrainConfig, plain
from bacalhaunet.training.fit import FitResult, fit
from bacalhaunet.training.history import FRAMES_SEEN, HISTORY, TRAINABLE, Stage, earlier_stages, stage
from bacalhaunet.training.run_data import TrainingData, training_data

THRESHOLD_FRAMES = 512
"""Frames, from the run's first batches, that the quantizers of a network with new bits are set on."""


def start_network(config: TrainConfig, data: TrainingData) -> tuple[NetworkSpec, nn.Module]:
    """Build the network ``config`` names, with the bits it asks for.

    A name of the catalog or a specification gives weights drawn from ``config.seed``. A saved or shipped model gives
    its own; with other bits its weights are taken over and its quantizers are set on the run's first training frames.

    Args:
        config: The run.
        data: Its frames; a catalog network is given their length and, as a specification is, their number of classes.

    Raises:
        SpecError: If the network is unknown or cannot be built.
        ModelFileError: If the saved model cannot be read.
        ConfigError: If a saved model has other classes than the data.
    """
    source = resolve_network(config.network, TRAINABLE, "a network to train")
    if source.saved is not None:
        saved = load_model(source.saved)
        if saved.labels != data.classes.names:
            raise ConfigError(
                f"the saved model has {saved.spec.classes} classes: {', '.join(saved.labels)}",
                where=str(source.saved),
                allowed=f"the {len(data.classes)} of the data, in their order: {', '.join(data.classes.names)}",
            )
        _check_length(saved.spec, data, str(source.saved))
        spec = saved.spec if config.bits is None else with_bits(saved.spec, config.bits)
        if spec == saved.spec:
            return spec, saved.network
        network = fresh_network(spec, config.seed)
        transfer_state(network, saved.network.state_dict())
        fit_thresholds(network, first_frames(data))
        return spec, network
    spec = source.spec()
    if source.spec_file is not None:
        _check_length(spec, data, config.network)
    spec = replace(spec, classes=len(data.classes), frame_length=data.frame_length)
    if config.bits is not None:
        spec = with_bits(spec, config.bits)
    return spec, fresh_network(spec, config.seed)


def with_model_files(config: TrainConfig) -> TrainConfig:
    """Return the settings with the saved model in place of a run folder, so that they say later what was used."""
    source, distillation = resolve_network(config.network, TRAINABLE, "a network to train"), config.distillation
    if source.kind == "saved":
        config = replace(config, network=str(source.saved))
    if distillation is not None:
        teacher = resolve_network(distillation.teacher, ("saved", "shipped"), "a teacher")
        if teacher.kind == "saved":
            config = replace(config, distillation=replace(distillation, teacher=str(teacher.saved)))
    return config


def _check_length(spec: NetworkSpec, data: TrainingData, where: str) -> None:
    if spec.frame_length != data.frame_length:
        raise ConfigError(
            f"the network takes frames of {spec.frame_length} samples",
            where=where,
            allowed=f"{data.frame_length}, as the frames it is to be trained on have",
            action=f"set frame_length: {data.frame_length} in the specification",
        )


def with_bits(spec: NetworkSpec, bits: BitsConfig) -> NetworkSpec:
    """Return ``spec`` with the bits of ``bits`` everywhere."""
    return spec.quantized(
        bits.weight, bits.activation, input_bits=bits.input, sum_bits=bits.sum, shared_sums=bits.shared_sums
    )


def fresh_network(spec: NetworkSpec, seed: int) -> nn.Module:
    """Build ``spec`` with weights drawn from ``seed``; torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(spec)


def first_frames(data: TrainingData) -> Tensor:
    """Return frames of the run's first batches, on the CPU as a network that was just built is."""
    found: list[Tensor] = []
    while sum(map(len, found)) < THRESHOLD_FRAMES and len(found) < data.batches_per_epoch:
        found.append(data.source.batch(len(found)).frames.cpu())
    return torch.cat(found)[:THRESHOLD_FRAMES]


@dataclass(frozen=True)
class TrainedRun:
    """What a run left.

    Attributes:
        model: The saved model.
        result: Accuracy, frames, time and curve.
    """

    model: Path
    result: FitResult


def train(
    config: TrainConfig, folder: Path, *, data: TrainingData | None = None, title: str = "training"
) -> TrainedRun:
    """Train as ``config`` says, resuming if ``folder`` holds an interrupted run of the same settings.

    A run that has ended is not done again: its model and what it gave are returned.

    Args:
        config: The run.
        folder: Gets ``config.yaml``, checkpoints, logs, ``curve.json`` and ``model.safetensors``.
        data: Frames, if they are open already; else those ``config`` names.
        title: Start of the progress lines.

    Raises:
        ConfigError: If the folder was begun with other settings, or another process works in it.
    """
    config = with_model_files(config)
    with claim_folder(folder, plain(config)):
        kept = once(folder / DONE_FILE, lambda: asdict(_train(config, folder, data or training_data(config), title)))
    return TrainedRun(folder / MODEL_FILE, FitResult.from_dict(kept))


def _train(config: TrainConfig, folder: Path, data: TrainingData, title: str) -> FitResult:
    earlier = earlier_stages(config.network)
    spec, network = start_network(config, data)
    result = fit(network, data.batches(), data.validation, config, folder, classes=len(data.classes), title=title)
    clear_dead_filters(network)
    stages = [*earlier, stage("train", plain(config), spec, result)]
    save_trained(folder, network, spec, data, result.validation_accuracy, stages)
    return result


def save_trained(
    folder: Path,
    network: nn.Module,
    spec: NetworkSpec,
    data: TrainingData,
    accuracy: float,
    stages: Sequence[Stage],
    **more: Any,
) -> None:
    """Save a network with its validation accuracy and how it was trained.

    Args:
        folder: Gets ``model.safetensors``.
        network: The network.
        spec: Its specification.
        data: What it was trained on, and measured by.
        accuracy: On the validation frames.
        stages: How it was trained, first to last.
        more: Further metrics.
    """
    metrics = {
        "validation_accuracy": accuracy,
        "validation_frames": sum(len(batch.labels) for batch in data.validation),
        HISTORY: list(stages),
        FRAMES_SEEN: sum(int(one["frames"]) for one in stages),
        **more,
    }
    save_model(folder / MODEL_FILE, network, spec=spec, classes=data.classes, metrics=metrics)
