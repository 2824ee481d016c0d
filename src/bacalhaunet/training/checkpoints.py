"""Checkpoints: the best weights, and the state to resume from, whole whenever a run is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from bacalhaunet.outputs import whole_file


class BestWeights(ModelCheckpoint):
    """Keep the weights of the epoch with the best validation accuracy.

    Args:
        path: The checkpoint.
        first_epoch: The first epoch, counted from 1, whose weights may be kept.
    """

    def __init__(self, path: Path, first_epoch: int = 1) -> None:
        super().__init__(
            path.parent,
            path.stem,
            monitor="validation_accuracy",
            mode="max",
            save_top_k=1,
            save_weights_only=True,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        self.first_epoch = first_epoch

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best so far, wherever its folder lies by now: Lightning forgets what lies elsewhere."""
        here = Path(str(self.dirpath))

        def moved(path: str) -> str:
            return str(here / Path(path).name) if path else path

        paths = {key: moved(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": str(here)})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights if they may be kept and are the best so far."""
        if trainer.current_epoch + 1 >= self.first_epoch:
            super().on_validation_end(trainer, pl_module)


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
