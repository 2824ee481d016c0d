"""A run as the report sees it: what any command left in a folder, with the measurements in it.

The main job and ``evaluate`` leave a record, ``run.json``, that names what was measured. ``train``, ``prune`` and
``compress`` leave models that tell how they were made, on how many validation frames they were chosen and with what
accuracy: that, their cost and their settings are what can be shown of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from bacalhaunet.data.evaluation import wilson_interval
from bacalhaunet.errors import BacalhauNetError, ConfigError, ModelFileError
from bacalhaunet.outputs import write_text
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.report.run_record import (
    CONFIG_FILE,
    RECORD_FILE,
    CurveRecord,
    Fields,
    RunRecord,
    StepRecord,
    read_object,
    read_run_record,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bacalhaunet.compression.path import PathStep
    from bacalhaunet.data.evaluation import Evaluation
    from bacalhaunet.models.saved import SavedModel


@dataclass(frozen=True)
class StepEvaluation:
    """Accuracy of one network, as ``evaluate --json`` prints it.

    Attributes:
        accuracy: Share of the frames classified correctly.
        interval: Wilson's 95 % interval of the accuracy.
        frames: Number of frames.
        by_snr: Accuracy by SNR label in dB, ascending.
        by_modulation: Accuracy by modulation name, in label order.
        confusion: Frames by true class (rows) and predicted class (columns); empty where it was not kept.
        confusion_by_snr: The same at some SNR labels in dB; empty where it was not kept.
    """

    accuracy: float
    interval: tuple[float, float]
    frames: int
    by_snr: dict[int, float]
    by_modulation: dict[str, float]
    confusion: NDArray[np.int64]
    confusion_by_snr: dict[int, NDArray[np.int64]]

    def snr_interval(self, snr_db: int) -> tuple[float, float]:
        """Return Wilson's 95 % interval at one SNR label, every label having equally many frames."""
        frames = max(1, self.frames // max(1, len(self.by_snr)))
        return wilson_interval(min(frames, round(self.by_snr[snr_db] * frames)), frames)


@dataclass(frozen=True)
class LayerCostRow:
    """One layer of the cost table: counts of one frame, bits, and its share of the score (0 to 1)."""

    name: str
    macs: float
    density: float
    input_bits: float
    weight_bits: float
    bit_ops: float
    bit_mem: float
    share: float


@dataclass(frozen=True)
class StepCost:
    """Cost of one network, as ``cost --json`` prints it.

    Attributes:
        bit_ops: Bit operations of one frame.
        bit_mem: Bits of the weights that are not zero.
        score: The challenge's score.
        layers: The cost by layer.
        findings: Where bits are wasted, in words.
        unsupported: Operations that the metric does not know.
    """

    bit_ops: float
    bit_mem: float
    score: float
    layers: tuple[LayerCostRow, ...]
    findings: tuple[str, ...]
    unsupported: tuple[str, ...]


def read_evaluation(path: Path) -> StepEvaluation:
    """Return the evaluation in a file.

    Raises:
        ConfigError: If the file is missing or is not what ``evaluate --json`` prints.
    """
    fields = read_object(path, "the evaluation")
    accuracy, frames = fields.number("accuracy", 0, 1), fields.count("frames")
    bounds = fields.items("interval") or list(wilson_interval(round(accuracy * frames), max(1, frames)))
    edges = Fields({str(index): value for index, value in enumerate(bounds)}, f"{fields.where}, interval")
    by_snr = {_snr(key, fields): value for key, value in fields.numbers("accuracy_by_snr", 0, 1).items()}
    tables = {_snr(key, fields): table for key, table in fields.mapping("confusion_by_snr").items()}
    return StepEvaluation(
        accuracy=accuracy,
        interval=(edges.number("0", 0, 1), edges.number("1", 0, 1)),
        frames=frames,
        by_snr=dict(sorted(by_snr.items())),
        by_modulation=fields.numbers("accuracy_by_modulation", 0, 1),
        confusion=_table(fields.items("confusion"), fields.where),
        confusion_by_snr={snr: _table(tables[snr], fields.where) for snr in sorted(tables)},
    )


def read_cost(path: Path) -> StepCost:
    """Return the cost in a file.

    Raises:
        ConfigError: If the file is missing or is not what ``cost --json`` prints.
    """
    return parse_cost(read_object(path, "the cost"))


def parse_cost(fields: Fields) -> StepCost:
    """Return the cost that an object as ``cost --json`` prints holds."""
    return StepCost(
        bit_ops=fields.number("bit_ops", 0),
        bit_mem=fields.number("bit_mem", 0),
        score=fields.number("score", 0),
        layers=tuple(_layer(layer) for layer in fields.objects("layers")),
        findings=_texts(fields, "findings"),
        unsupported=_texts(fields, "unsupported"),
    )


def _layer(fields: Fields) -> LayerCostRow:
    return LayerCostRow(
        name=fields.text("name"),
        macs=fields.number("macs", 0),
        density=fields.number("density", 0, 1),
        input_bits=fields.number("input_bits", 0),
        weight_bits=fields.number("weight_bits", 0),
        bit_ops=fields.number("bit_ops", 0),
        bit_mem=fields.number("bit_mem", 0),
        share=fields.number("share", 0, 1 + 1e-9),
    )


def _texts(fields: Fields, key: str) -> tuple[str, ...]:
    found = fields.items(key)
    if not all(isinstance(item, str) for item in found):
        raise ConfigError(f"the field {key!r} holds more than texts", where=fields.where, allowed="a list of texts")
    return tuple(found)


def _snr(key: str, fields: Fields) -> int:
    try:
        return int(key)
    except ValueError as error:
        raise ConfigError(f"{key!r} is no SNR label", where=fields.where, allowed="whole dB, such as '-20'") from error


def _table(rows: Sequence[object], where: str) -> NDArray[np.int64]:
    if not rows:
        return np.zeros((0, 0), np.int64)
    problem = ConfigError("the confusion is not a square table of counts", where=where, allowed="24 lists of 24 counts")
    try:
        table = np.asarray(rows, np.float64)
    except (ValueError, TypeError) as error:
        raise problem from error
    square = table.ndim == 2 and table.shape[0] == table.shape[1]
    if not (square and bool(np.all(table >= 0)) and bool(np.all(table == np.floor(table)))):
        raise problem
    return table.astype(np.int64)


@dataclass(frozen=True)
class RunStep:
    """One step with what was measured; None where it was not measured."""

    record: StepRecord
    evaluation: StepEvaluation | None
    cost: StepCost | None


@dataclass(frozen=True)
class Run:
    """A run with its steps, its resolved configuration (empty where the folder has none) and its class names."""

    folder: Path
    record: RunRecord
    steps: tuple[RunStep, ...]
    config: str
    classes: tuple[str, ...] = NAMES

    @property
    def comparable(self) -> bool:
        """Whether published figures mean anything beside it: its classes are RadioML's."""
        return all(name in NAMES for name in self.classes)

    @property
    def evaluated(self) -> tuple[RunStep, ...]:
        """The steps with an accuracy."""
        return tuple(step for step in self.steps if step.evaluation)

    @property
    def costed(self) -> tuple[RunStep, ...]:
        """The steps with a cost."""
        return tuple(step for step in self.steps if step.cost)


def load_run(folder: Path) -> Run:
    """Return the run in a folder.

    Raises:
        ConfigError: If the folder holds no record, or the record or a file it names is damaged or missing.
    """
    folder = Path(folder)
    record = read_run_record(folder)
    steps = tuple(
        RunStep(
            step,
            read_evaluation(folder / step.evaluation) if step.evaluation else None,
            read_cost(folder / step.cost) if step.cost else None,
        )
        for step in record.steps
    )
    named = [
        tuple(step.evaluation.by_modulation) for step in steps if step.evaluation and step.evaluation.by_modulation
    ]
    return Run(folder, record, steps, _config(folder / CONFIG_FILE), named[-1] if named else NAMES)


def _config(path: Path) -> str:
    if not path.exists():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the configuration cannot be read: {error}", where=str(path), allowed="UTF-8 text"
        ) from error


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
