"""One training run from its settings to a saved model in a folder.

The network a run starts from: fresh, or with the weights of an earlier one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor, nn

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.models.states import calibrate, transfer_state
from bacalhaunet.outputs import write_text
from bacalhaunet.training.config import BitsConfig, TrainConfig, plain
from bacalhaunet.training.curve import CURVE_FILE, CurvePoint
from bacalhaunet.training.fit import FitResult, fit
from bacalhaunet.training.history import earlier_stages, history_of, saved_model_of, stage, told
from bacalhaunet.training.run_data import TrainingData, training_data

SAVED_SUFFIX = ".safetensors"
SPEC_SUFFIXES = (".yaml", ".yml", ".json")

CALIBRATION_FRAMES = 512
"""Frames, from the run's first batches, that the quantizers of a network with new bits are set on."""


def start_network(config: TrainConfig, data: TrainingData) -> tuple[NetworkSpec, nn.Module]:
    """Build the network ``config`` names, with the bits it asks for.

    A name of the catalog or a specification gives weights drawn from ``config.seed``. A saved or shipped model gives
    its own; with other bits its weights are taken over and its quantizers are set on the run's first training frames.

    Args:
        config: The run.
        data: Its frames; a catalog network or specification is given as many classes as they have.

    Raises:
        SpecError: If the network is unknown or cannot be built.
        ModelFileError: If the saved model cannot be read.
        ConfigError: If a saved model has another number of classes.
    """
    path = saved_model_of(config.network) or Path(config.network)
    if path.suffix == SAVED_SUFFIX:
        saved = load_model(path)
        if saved.spec.classes != data.classes:
            raise ConfigError(
                f"the saved model has {saved.spec.classes} classes",
                where=str(path),
                allowed=f"{data.classes}, as the data",
            )
        _check_length(saved.spec, data, str(path))
        spec = saved.spec if config.bits is None else with_bits(saved.spec, config.bits)
        if spec == saved.spec:
            return spec, saved.network
        network = fresh_network(spec, config.seed)
        transfer_state(network, saved.network.state_dict())
        calibrate(network, first_frames(data))
        return spec, network
    spec = NetworkSpec.load(path) if path.suffix in SPEC_SUFFIXES else find_spec(config.network)
    _check_length(spec, data, config.network)
    spec = replace(spec, classes=data.classes)
    if config.bits is not None:
        spec = with_bits(spec, config.bits)
    return spec, fresh_network(spec, config.seed)


def _check_length(spec: NetworkSpec, data: TrainingData, where: str) -> None:
    length = data.validation[0].frames.shape[-1]
    if spec.frame_length != length:
        raise ConfigError(
            f"the network takes frames of {spec.frame_length} samples",
            where=where,
            allowed=f"{length}, as the frames it is to be trained on have",
            action=f"set frame_length: {length} in the specification",
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
    while sum(map(len, found)) < CALIBRATION_FRAMES and len(found) < data.batches_per_epoch:
        found.append(data.source.batch(len(found)).frames.cpu())
    return torch.cat(found)[:CALIBRATION_FRAMES]


CONFIG_FILE, MODEL_FILE = "config.yaml", "model.safetensors"


@dataclass(frozen=True)
class TrainedRun:
    """What a run left.

    Attributes:
        model: The saved model.
        result: Accuracy, frames, time and curve.
    """

    model: Path
    result: FitResult


def resolved(config: TrainConfig) -> str:
    """Return every setting of ``config`` as YAML, defaults included; settings that came later only if they are used.

    So a folder that was begun before there were teachers or Muon can be gone on with.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TrainConfig, "run")
    namespace = parser.parse_object({"run": plain(config)})
    values = yaml.safe_load(parser.dump(namespace, skip_none=False))["run"]
    if values["distillation"] is None:
        del values["distillation"]
    if values["optimizer"]["kind"] == "adam":
        del values["optimizer"]["kind"], values["optimizer"]["matrix_learning_rate"]
    text: str = yaml.safe_dump(values, sort_keys=False)
    return text


def claim_folder(folder: Path, text: str) -> None:
    """Make ``folder`` the run's own, or accept it if it was begun with the same settings.

    Raises:
        ConfigError: If the folder was begun with other settings.
    """
    path = folder / CONFIG_FILE
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(
            "the folder was begun with other settings",
            where=str(path),
            allowed="the same settings, to go on where the run stopped",
            action="choose another --output, or delete the folder",
        )
    write_text(path, text)


def finished(folder: Path) -> FitResult | None:
    """Return what a run gave whose model lies in ``folder``; None if it has not ended."""
    if not (folder / MODEL_FILE).is_file():
        return None
    own = history_of(folder / MODEL_FILE)[-1]
    points = json.loads((folder / CURVE_FILE).read_text(encoding="utf-8"))
    curve = tuple(CurvePoint(**point) for point in points)
    return FitResult(own["validation_accuracy"], own["frames"], curve[-1].seconds if curve else 0.0, curve)


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
        ConfigError: If the folder was begun with other settings.
    """
    settings = resolved(config)
    claim_folder(folder, settings)
    before = finished(folder)
    if before is not None:
        return TrainedRun(folder / MODEL_FILE, before)
    data = data or training_data(config)
    earlier = earlier_stages(config.network)
    spec, network = start_network(config, data)
    result = fit(network, data.batches(), data.validation, config, folder, classes=data.classes, title=title)
    own = stage("train", settings, spec, result.frames_seen, result.validation_accuracy, result.curve)
    metrics = {
        "validation_accuracy": result.validation_accuracy,
        "validation_frames": sum(len(batch.labels) for batch in data.validation),
        **told([*earlier, own]),
    }
    save_model(folder / MODEL_FILE, network, spec=spec, labels=data.names, metrics=metrics)
    return TrainedRun(folder / MODEL_FILE, result)
