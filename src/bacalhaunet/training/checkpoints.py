"""Checkpoints to resume from, written so that a run killed at any moment finds a whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from bacalhaunet.outputs import whole_file


class ResumePoint(Callback):
    """Save the whole state every so many steps, under a temporary name that is then renamed.

    The last batch of an epoch is passed over and the batch after it saved instead: Lightning does not go on exactly
    from a checkpoint taken between the last batch of an epoch and its validation.

    Args:
        path: The checkpoint.
        every_steps: Optimizer steps between two checkpoints, at least.
    """

    def __init__(self, path: Path, every_steps: int) -> None:
        self.path, self.every_steps = path, every_steps
        self._saved_at = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from where this part of the run starts."""
        self._saved_at = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time."""
        due = trainer.global_step - self._saved_at >= self.every_steps
        if not due or batch_idx + 1 >= trainer.num_training_batches:
            return
        self._saved_at = trainer.global_step
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.path)  # takes part and writes nothing
            return
        with whole_file(self.path) as partial:
            trainer.save_checkpoint(partial)
