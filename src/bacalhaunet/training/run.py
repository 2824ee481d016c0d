"""One training run from its settings to a saved model in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml
from jsonargparse import ArgumentParser

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.saved import save_model
from bacalhaunet.outputs import write_text
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.curve import CURVE_FILE, CurvePoint
from bacalhaunet.training.fit import FitResult, fit
from bacalhaunet.training.history import earlier_stages, history_of, stage, told
from bacalhaunet.training.plain_settings import plain
from bacalhaunet.training.run_data import TrainingData, training_data
from bacalhaunet.training.start import start_network

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
