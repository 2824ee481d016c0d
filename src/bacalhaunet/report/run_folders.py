"""The run in any folder that a command leaves: of the main job and of ``evaluate`` by its record, of others by models.

``train``, ``prune`` and ``compress`` leave models that tell how they were made, on how many validation frames they were
chosen and with what accuracy. That, their cost and their settings are what a report can show of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from bacalhaunet.data.evaluation import wilson_interval
from bacalhaunet.errors import BacalhauNetError, ConfigError, ModelFileError
from bacalhaunet.outputs import write_text
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.report.run import Run, RunStep, StepCost, StepEvaluation, load_run, parse_cost
from bacalhaunet.report.run_record import CONFIG_FILE, RECORD_FILE, CurveRecord, Fields, RunRecord, StepRecord

if TYPE_CHECKING:
    from bacalhaunet.compression.path import PathStep
    from bacalhaunet.data.evaluation import Evaluation
    from bacalhaunet.models.saved import SavedModel

MODEL_FILE, PATH_FILE = "model.safetensors", "path.json"


def read_run(folder: Path) -> Run:
    """Return the run in a folder.

    Args:
        folder: What ``reproduce``, ``train``, ``prune``, ``compress`` or ``evaluate --output`` left.

    Raises:
        ConfigError: If the folder is none of these, or a part of it is damaged.
    """
    folder = Path(folder)
    if (folder / RECORD_FILE).is_file():
        return load_run(folder)
    pruned = sorted(folder.glob(f"step-*/{MODEL_FILE}"), key=lambda file: int(file.parent.name.removeprefix("step-")))
    if (folder / PATH_FILE).is_file() and (folder / MODEL_FILE).is_file():
        return _compressed(folder)
    if pruned:
        steps = [_step(folder, model, f"pruning step {model.parent.name[5:]}") for model in pruned]
        return _run(folder, "prune", pruned[-1], steps)
    if (folder / MODEL_FILE).is_file():
        return _run(folder, "train", folder / MODEL_FILE, [_step(folder, folder / MODEL_FILE, "trained")])
    raise ConfigError(
        "this is not the folder of a run that has ended",
        where=str(folder),
        allowed=f"a folder with a {RECORD_FILE}, a {MODEL_FILE} or pruning steps",
        action="give a folder that reproduce, train, prune, compress or 'evaluate --output' wrote",
    )


def _run(folder: Path, command: str, model: Path, steps: list[RunStep]) -> Run:
    """Return a run that tells of itself by its last model."""
    from bacalhaunet.models.saved import load_model

    saved = load_model(model)
    text = (folder / CONFIG_FILE).read_text(encoding="utf-8") if (folder / CONFIG_FILE).is_file() else ""
    config = yaml.safe_load(text) or {}
    data = config.get("data") or {}
    record = RunRecord(
        name=folder.resolve().name,
        created=datetime.fromtimestamp(model.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        command=f"bacalhaunet {command} --config {folder / CONFIG_FILE} --output {folder}" if config else "",
        profile="file" if data.get("file") else str(data.get("profile", "")),
        data=str(data.get("file") or ""),
        protocol={"selection": "validation frames; no test frame was read", "seed": str(config.get("seed", ""))},
        steps=tuple(step.record for step in steps),
        curve=learning_curve(model, saved),
    )
    return Run(folder, record, tuple(steps), text, tuple(saved.labels))


def learning_curve(model: Path, saved: SavedModel | None = None) -> tuple[CurveRecord, ...]:
    """Return the validations of a saved model over all its trainings, frames counted through; empty if it tells none.

    Args:
        model: The saved model.
        saved: The same, if it was read already.
    """
    from bacalhaunet.training.history import history_of

    try:
        stages = history_of(model, saved)
    except ModelFileError:
        return ()
    points, before = [], 0
    for stage in stages:
        points += [CurveRecord(before + int(frames), float(accuracy)) for frames, accuracy in stage["curve"]]
        before += int(stage["frames"])
    return tuple(points)


def _step(folder: Path, model: Path, title: str) -> RunStep:
    """Return one training as the model tells it that it left."""
    from bacalhaunet.cost.of import cost_of
    from bacalhaunet.models.saved import load_model

    saved = load_model(model)
    metrics: Mapping[str, Any] = saved.metrics
    own = (metrics.get("history") or [{}])[-1]
    step = own.get("step") if isinstance(own.get("step"), Mapping) else {}  # a compression names its step
    record = StepRecord(
        slug=model.parent.name if title != "trained" else "train",
        title=title,
        kind="prune" if step else "training",
        frames_seen=int(own.get("frames", 0)),
        weight_decay=step.get("weight_decay"),
        min_abs_weight=step.get("min_abs_weight"),
        model=model.relative_to(folder).as_posix(),
    )
    evaluation = _validated(metrics.get("validation_accuracy"), metrics.get("validation_frames"))
    return RunStep(record, evaluation, parse_cost(Fields(cost_of(saved).to_dict(), str(model))))


def _compressed(folder: Path) -> Run:
    """Return the run of a compression: its steps as its path tells them, its network with the whole cost."""
    from bacalhaunet.compression.path import read_path

    path = [step for step in read_path(folder / PATH_FILE) if step.kept]
    last = _step(folder, folder / MODEL_FILE, path[-1].title)
    steps = [_path_step(step) for step in path[:-1]] + [replace(_path_step(path[-1]), cost=last.cost)]
    return _run(folder, "compress", folder / MODEL_FILE, steps)


def _path_step(step: PathStep) -> RunStep:
    record = StepRecord(slug=step.name, title=step.title, kind="compression", frames_seen=step.frames)
    cost = StepCost(step.bit_ops, step.bit_mem, step.score, (), (), ())
    return RunStep(record, _validated(step.accuracy, step.validation_frames), cost)


def _validated(accuracy: float | None, frames: int | None) -> StepEvaluation | None:
    """Return an accuracy on validation frames as an evaluation without its parts."""
    if accuracy is None or not frames:
        return None
    bounds = wilson_interval(round(accuracy * frames), frames)
    return StepEvaluation(accuracy, bounds, frames, {}, {}, np.zeros((0, 0), np.int64), {})


def write_evaluation(result: Evaluation, network: str, data: str, command: str, folder: Path) -> Path:
    """Write an evaluation as the folder of a run, which ``report`` makes a page of, and return its record.

    Args:
        result: The evaluation.
        network: What was evaluated, as the user named it.
        data: The frames in words.
        command: The command that does it again.
        folder: Gets ``evaluation.json``, ``cost.json`` where the network's cost can be told, and ``run.json``.
    """
    from bacalhaunet.cost.of import cost_of

    write_text(folder / "evaluation.json", json.dumps(result.to_dict()))
    cost: str | None = "cost.json"
    try:
        write_text(folder / "cost.json", json.dumps(cost_of(network).to_dict()))
    except BacalhauNetError:  # operations that the metric does not know
        cost = None
    step = StepRecord("evaluation", Path(network).name, "evaluation", evaluation="evaluation.json", cost=cost)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    profile = "file" if set(result.names) <= set(NAMES) else ""
    return RunRecord(f"evaluation of {network}", now, command, profile, data, steps=(step,)).write(folder)
