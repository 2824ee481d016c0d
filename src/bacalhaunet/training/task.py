"""What one training step and one validation step are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from bacalhaunet.data.batches import Batch
from bacalhaunet.training.config import OptimizerConfig
from bacalhaunet.training.optimizers import configured_optimizer, configured_schedule

Loss = Callable[[Tensor, Batch], Tensor]
"""A scalar loss from the logits (batch, classes) and the batch they belong to."""


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """Mean over the batch of ``-log softmax(logits)[label]``."""
    return nn.functional.cross_entropy(logits, batch.labels)


class ClassificationTask(LightningModule):
    """Train a network to name the modulation; validation accuracy is the mean over all validation frames.

    Args:
        network: Maps frames (batch, 2, length) to logits (batch, classes).
        optimizer: The optimizer's settings.
        steps_per_epoch: Steps of an epoch.
        epochs: Epochs of the run.
        classes: Number of classes.
        loss: What is minimised.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerConfig,
        *,
        steps_per_epoch: int,
        epochs: int,
        classes: int,
        loss: Loss = cross_entropy,
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = optimizer
        self.steps_per_epoch, self.epochs = steps_per_epoch, epochs
        self.loss = loss
        self.accuracy = MulticlassAccuracy(classes, average="micro")

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of one batch."""
        batch = Batch(*batch)
        loss = self.loss(self.network(batch.frames), batch)
        several, frames = self.trainer.world_size > 1, len(batch.labels)
        self.log("train_loss", loss, prog_bar=True, batch_size=frames, sync_dist=several)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Add one batch to the validation accuracy and loss."""
        batch = Batch(*batch)
        if not len(batch.labels):  # fewer rows than processes
            return
        logits = self.network(batch.frames)
        self.accuracy(logits, batch.labels)
        several = self.trainer.world_size > 1
        self.log("validation_loss", cross_entropy(logits, batch), batch_size=len(batch.labels), sync_dist=several)
        self.log("validation_accuracy", self.accuracy, prog_bar=True, batch_size=len(batch.labels))

    def configure_optimizers(self) -> dict[str, Any]:
        """The configured optimizer, with its learning rates scheduled step by step."""
        optimizer = configured_optimizer(self.network, self.settings)
        scheduler = configured_schedule(optimizer, self.settings, self.steps_per_epoch, self.epochs)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
