"""The learning curve, validation accuracy against frames seen, and progress as lines of text."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from bacalhaunet.outputs import write_text

CURVE_FILE = "curve.json"
"""The learning curve in the folder of a run."""


@dataclass(frozen=True)
class CurvePoint:
    """One validation.

    Attributes:
        frames: Training frames seen so far.
        seconds: Training time so far, interruptions not counted.
        validation_accuracy: Share of validation frames classified correctly.
    """

    frames: int
    seconds: float
    validation_accuracy: float


class LearningCurve(Callback):
    """Collects a point at each validation and writes them to a JSON file; its state travels with the checkpoints."""

    def __init__(self, path: Path, batch_size: int) -> None:
        self.path, self.batch_size = path, batch_size
        self.points: list[CurvePoint] = []
        self._seconds_before = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Training time so far in seconds, over all parts of an interrupted run."""
        return self._seconds_before + time.monotonic() - self._started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of this part of the run."""
        self._started = time.monotonic()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a point."""
        if trainer.sanity_checking:
            return
        accuracy = float(trainer.callback_metrics["validation_accuracy"])
        frames = trainer.global_step * self.batch_size
        self.points.append(CurvePoint(frames, round(self.seconds, 1), accuracy))
        if trainer.is_global_zero:
            write_text(self.path, json.dumps([asdict(point) for point in self.points], indent=1))

    def state_dict(self) -> dict[str, Any]:
        """Return the points and the time so far."""
        return {"points": [asdict(point) for point in self.points], "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the points and the time of a checkpoint."""
        self.points = [CurvePoint(**point) for point in state_dict["points"]]
        self._seconds_before = float(state_dict["seconds"])
        self._started = time.monotonic()


def duration(seconds: float) -> str:
    """Return a duration as people write it: ``45 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class ProgressLines(Callback):
    """Print epoch, loss, accuracy, frames/s and the time left, at most every ``every_seconds``, on standard error."""

    def __init__(self, title: str, batch_size: int, every_seconds: float = 15.0) -> None:
        self.title, self.batch_size, self.every_seconds = title, batch_size, every_seconds
        self._started = self._printed = time.monotonic()
        self._first_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where this part of the run starts."""
        self._started = self._printed = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print a line when it is time."""
        if time.monotonic() - self._printed >= self.every_seconds:
            self._print(trainer, float(outputs["loss"]), None)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print a line with the validation accuracy."""
        if not trainer.sanity_checking:
            self._print(trainer, None, float(trainer.callback_metrics["validation_accuracy"]))

    def _print(self, trainer: Trainer, loss: float | None, accuracy: float | None) -> None:
        self._printed = time.monotonic()
        if not trainer.is_global_zero:
            return
        steps = trainer.global_step - self._first_step
        rate = steps / max(self._printed - self._started, 1e-9)
        total = int(trainer.estimated_stepping_batches)
        left = (total - trainer.global_step) / rate if rate > 0 else float("inf")
        what = f"loss {loss:.3f}" if loss is not None else f"validation accuracy {100 * (accuracy or 0.0):.2f} %"
        print(
            f"{self.title}: step {trainer.global_step} of {total}, {what}, "
            f"{rate * self.batch_size:,.0f} frames/s, {duration(left)} left",
            file=sys.stderr,
            flush=True,
        )
