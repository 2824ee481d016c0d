"""The path of a compression: accuracy and score after each step, as ``path.json`` holds it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bacalhaunet.errors import ModelFileError
from bacalhaunet.outputs import write_text

PATH_FILE, STEP_FILE = "path.json", "step.json"


@dataclass(frozen=True)
class PathStep:
    """One step of the road and what the network was worth after it.

    Attributes:
        name: Name of its folder.
        title: What was done, in words.
        accuracy: Share of validation frames named rightly.
        validation_frames: Their number.
        score: The challenge's score.
        bit_ops: Bit operations of a frame.
        bit_mem: Bits of the weights that are not zero.
        density: Share of weights that are not zero.
        frames: Training frames of this step.
        kept: Whether the road goes on from here; a step that lost too much accuracy is left.
        details: What the step chose, as plain values.
    """

    name: str
    title: str
    accuracy: float
    validation_frames: int
    score: float
    bit_ops: int
    bit_mem: int
    density: float
    frames: int = 0
    kept: bool = True
    details: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the step into its folder, which marks it as done."""
        write_text(folder / STEP_FILE, json.dumps(asdict(self), indent=1))

    @staticmethod
    def read(folder: Path) -> PathStep | None:
        """Return the step of a folder; None if it is not done."""
        path = folder / STEP_FILE
        return PathStep(**_read(path)) if path.is_file() else None


def write_path(path: Path, steps: Sequence[PathStep], asked: dict[str, Any]) -> None:
    """Write the steps with what was asked for; all choices were made on validation frames."""
    content = {"asked": asked, "choices_made_on": "validation", "steps": [asdict(step) for step in steps]}
    write_text(path, json.dumps(content, indent=1))


def read_path(path: Path) -> list[PathStep]:
    """Return the steps of a ``path.json``.

    Raises:
        ModelFileError: If it cannot be read.
    """
    return [PathStep(**step) for step in _read(path)["steps"]]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"the file cannot be read: {error}", where=str(path)) from error
