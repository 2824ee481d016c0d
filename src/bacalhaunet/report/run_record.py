"""The run folder: what a run leaves behind, in files that people and the report read.

A run folder holds ``config.yaml`` (the resolved configuration), ``run.json`` (this record) and the files that the
record names by paths relative to the folder: for each step the evaluation, the cost and the model.

Typed reading of JSON objects: a missing or wrongly typed field is an error that names file and field.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import write_text


def read_object(path: Path, what: str) -> Fields:
    """Return the JSON object in a file.

    Args:
        path: The file.
        what: What the file is, for the message, such as "the run record".

    Raises:
        ConfigError: If the file is missing, is not UTF-8 JSON, or holds something other than an object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{what} cannot be read: {reason}", where=str(path)) from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{what} is not JSON: {error}", where=str(path)) from error
    if not isinstance(found, dict):
        raise ConfigError(f"{what} is a {type(found).__name__}", where=str(path), allowed="a JSON object")
    return Fields(found, str(path))


class Fields:
    """A JSON object whose fields are read with their type.

    Args:
        values: The object.
        where: The file and place, for messages.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def _wrong(self, key: str, allowed: str) -> ConfigError:
        if key not in self.values:
            return ConfigError(f"the field {key!r} is missing", where=self.where, allowed=allowed)
        shown = repr(self.values[key])
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return ConfigError(f"the field {key!r} is {shown}", where=self.where, allowed=allowed)

    def has(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; ``default`` where the field is absent or null."""
        if default is not None and not self.has(key):
            return default
        value = self.values.get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number between ``low`` and ``high``, ends included."""
        value: Any = self.values.get(key)
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        # The comparison is false for NaN; infinity and integers that no float can hold lie outside the limits.
        largest = sys.float_info.max
        if numeric and max(low, -largest) <= value <= min(high, largest):
            return float(value)
        limits = "" if math.isinf(low) and math.isinf(high) else f" from {low:g} to {high:g}"
        raise self._wrong(key, f"a finite number{limits}")

    def optional_number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """Return a number, or None where the field is absent or null."""
        return self.number(key, low, high) if self.has(key) else None

    def count(self, key: str) -> int:
        """Return an integer of at least 0; a float that is a whole number counts as one."""
        value = self.number(key, low=0)
        if value != int(value):
            raise self._wrong(key, "a whole number")
        return int(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """Return an object, empty where the field is absent or null."""
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return dict(value)

    def numbers(self, key: str, low: float = -math.inf, high: float = math.inf) -> dict[str, float]:
        """Return an object of finite numbers, empty where the field is absent or null."""
        inner = Fields(self.mapping(key), f"{self.where}, {key}")
        return {name: inner.number(name, low, high) for name in inner.values}

    def items(self, key: str) -> list[Any]:
        """Return a list, empty where the field is absent or null."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return value

    def objects(self, key: str) -> list[Fields]:
        """Return a list of objects, empty where the field is absent or null."""
        found = self.items(key)
        if not all(isinstance(item, dict) for item in found):
            raise self._wrong(key, "a list of objects")
        return [Fields(item, f"{self.where}, {key}[{index}]") for index, item in enumerate(found)]


RECORD_FILE = "run.json"
"""Name of the record in the run folder."""

CONFIG_FILE = "config.yaml"
"""Name of the resolved configuration in the run folder."""


@dataclass(frozen=True)
class StepRecord:
    """One step of a run: a training, a pruning iteration, an export.

    Attributes:
        slug: Short unique name, good for a file name.
        title: What people read.
        kind: ``start`` (the network a job starts from), ``train``, ``prune``, ``export`` or another word.
        frames_seen: Training frames of this step; repeated frames count again.
        seconds: Duration of this step, interruptions not counted.
        weight_decay: The step's λ; None where it has none.
        min_abs_weight: The step's ε, below which weights are set to zero; None where nothing is pruned.
        evaluation: Path of the JSON that ``evaluate --json`` prints, relative to the run folder, "/" between folders.
        cost: Path of the JSON that ``cost --json`` prints.
        model: Path of the saved or exported network.
    """

    slug: str
    title: str
    kind: str
    frames_seen: int = 0
    seconds: float = 0.0
    weight_decay: float | None = None
    min_abs_weight: float | None = None
    evaluation: str | None = None
    cost: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class ParityRecord:
    """How often engines name the same class for the same frames.

    Attributes:
        engines: The engines compared.
        frames: Frames they were compared on.
        agreement: Share of the frames with equal argmax, 0 to 1.
        explanation: Why the others differ, in words.
    """

    engines: tuple[str, ...]
    frames: int
    agreement: float
    explanation: str = ""


@dataclass(frozen=True)
class CurveRecord:
    """One validation during training: frames seen so far and the share of validation frames classified correctly."""

    frames: int
    validation_accuracy: float


@dataclass(frozen=True)
class RunRecord:
    """What a run was and what it left behind.

    Attributes:
        name: The run's name.
        created: When the record was written, ISO 8601.
        command: The command that repeats it.
        profile: Where frames come from: ``twin``, ``field`` or ``file``.
        data: The data in words.
        protocol: What accuracy means here: ``split``, ``frames_per_cell``, ``train_snr_min_db``, ``seed``,
            ``selection`` and any further fact, each a text or a number.
        steps: The steps in order.
        parity: Comparisons of engines.
        speed: Engines' speeds on one core, rows as ``bench --json`` prints them.
        classification: Summary of the recording that was classified, as ``classify --json`` prints it; or empty.
        curve: The learning curve.
    """

    name: str
    created: str
    command: str
    profile: str
    data: str = ""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[StepRecord, ...] = ()
    parity: tuple[ParityRecord, ...] = ()
    speed: tuple[Mapping[str, Any], ...] = ()
    classification: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[CurveRecord, ...] = ()

    def write(self, folder: Path) -> Path:
        """Write ``run.json`` whole into the run folder, which is made if absent, and return its path."""
        path = Path(folder) / RECORD_FILE
        write_text(path, json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return path


def read_run_record(folder: Path) -> RunRecord:
    """Return the record in a run folder. Optional parts that are absent or null are empty.

    Raises:
        ConfigError: If the folder holds no record, or a field is missing, of the wrong type, out of range, or a path
            that leaves the run folder.
    """
    folder = Path(folder)
    if not (folder / RECORD_FILE).is_file():
        raise ConfigError(
            f"this is not a run folder: it has no {RECORD_FILE}",
            where=str(folder),
            action="give a folder that 'bacalhaunet reproduce' wrote, such as runs/reproduce-quick",
        )
    fields = read_object(folder / RECORD_FILE, "the run record")
    steps = tuple(_step(item) for item in fields.objects("steps"))
    slugs = [step.slug for step in steps]
    if len(set(slugs)) < len(slugs):
        raise ConfigError(f"two steps have the same slug: {', '.join(slugs)}", where=fields.where)
    return RunRecord(
        name=fields.text("name"),
        created=fields.text("created"),
        command=fields.text("command", ""),
        profile=fields.text("profile", ""),
        data=fields.text("data", ""),
        protocol=fields.mapping("protocol"),
        steps=steps,
        parity=tuple(_parity(item) for item in fields.objects("parity")),
        speed=tuple(_speed(item) for item in fields.objects("speed")),
        classification=fields.mapping("classification"),
        curve=tuple(
            CurveRecord(item.count("frames"), item.number("validation_accuracy", 0, 1))
            for item in fields.objects("curve")
        ),
    )


def _step(fields: Fields) -> StepRecord:
    return StepRecord(
        slug=fields.text("slug"),
        title=fields.text("title"),
        kind=fields.text("kind", "train"),
        frames_seen=fields.count("frames_seen") if fields.has("frames_seen") else 0,
        seconds=fields.optional_number("seconds", low=0) or 0.0,
        weight_decay=fields.optional_number("weight_decay", low=0),
        min_abs_weight=fields.optional_number("min_abs_weight", low=0),
        evaluation=_inside(fields, "evaluation"),
        cost=_inside(fields, "cost"),
        model=_inside(fields, "model"),
    )


def _speed(fields: Fields) -> dict[str, Any]:
    limits = {"latency_us": math.inf, "frames_per_second": math.inf, "agreement": 1.0}
    return {
        **fields.values,
        "engine": fields.text("engine"),
        **{name: fields.number(name, 0, high) for name, high in limits.items()},
    }


def _inside(fields: Fields, key: str) -> str | None:
    if not fields.has(key):
        return None
    path = fields.text(key)
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or "\\" in path or "\0" in path:
        raise ConfigError(
            f"the field {key!r} is {path!r}", where=fields.where, allowed="a path inside the run folder, relative to it"
        )
    return path


def _parity(fields: Fields) -> ParityRecord:
    engines = fields.items("engines")
    if not all(isinstance(engine, str) for engine in engines):
        raise ConfigError(f"the engines are {engines!r}", where=fields.where, allowed="a list of names")
    return ParityRecord(
        engines=tuple(engines),
        frames=fields.count("frames"),
        agreement=fields.number("agreement", 0, 1),
        explanation=fields.text("explanation", ""),
    )
