"""Progress of a training run as lines of text, for terminals and log files alike."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


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
