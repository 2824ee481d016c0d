"""The learning curve: validation accuracy against frames seen, kept through interruptions."""

from __future__ import annotations

import json
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
        validation_accuracy: Share of validation frames named rightly.
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
