"""Learning from a teacher: the loss that mixes the labels with a larger network's soft answers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from bacalhaunet.data.batches import Batch, FileBatches
from bacalhaunet.data.loaders import BatchSource
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.gpu.graphs import Replayed
from bacalhaunet.models.saved import SavedModel, load_model
from bacalhaunet.models.shipped_networks import load
from bacalhaunet.training.config import DistillationConfig
from bacalhaunet.training.task import Loss, cross_entropy
from bacalhaunet.training.teacher_answers import KeptAnswers


class DistillationLoss:
    """``(1 - w) CE(z, label) + w T^2 KL(softmax(teacher / T) || softmax(z / T))``, the mean over the batch.

    The teacher is asked in evaluation mode and without a gradient: its weights, statistics and mode stay as they are.
    It is no part of the trained network or its checkpoints.

    Args:
        teacher: Maps frames to logits of the same classes. Another loss may ask the same object.
        weight: w, 0 to 1.
        temperature: T, above 0. Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network",
            2015, section 2, with T^2 to keep the size of the gradient.
        kept: The teacher's answers to frames of a file; None asks it anew in every batch.
    """

    def __init__(self, teacher: nn.Module, weight: float, temperature: float, kept: KeptAnswers | None = None) -> None:
        self.teacher, self.weight, self.temperature = teacher.eval(), weight, temperature
        self.kept = kept
        self._replayed: Replayed | None = None

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss; the teacher is taken to the device of the frames."""
        temperature = self.temperature
        soft = nn.functional.log_softmax(self.answers(batch) / temperature, dim=1)
        own = nn.functional.log_softmax(logits / temperature, dim=1)
        divergence = nn.functional.kl_div(own, soft, reduction="batchmean", log_target=True)
        return (1 - self.weight) * cross_entropy(logits, batch) + self.weight * temperature**2 * divergence

    def answers(self, batch: Batch) -> Tensor:
        """Return the teacher's logits."""
        frames = batch.frames
        if self.kept is not None and batch.rows is not None:
            return self.kept.of(batch.rows.cpu()).to(frames.device)
        first = next(self.teacher.parameters(), None)
        if first is not None and first.device != frames.device:
            self.teacher.to(frames.device)
        if frames.is_cuda and self._replayed is None:
            self._replayed = Replayed(self.teacher, frames)
        if self._replayed is not None and self._replayed.takes(frames):
            return self._replayed(frames)
        with torch.no_grad():
            logits: Tensor = self.teacher(frames)
        return logits


def configured_loss(
    config: DistillationConfig | None, classes: int, source: BatchSource | None = None, frames: int = 0
) -> Loss:
    """Return the loss that ``config`` asks for: cross entropy without a teacher.

    A run on a file that sees its training frames at least once over asks the teacher about all of them first.

    Args:
        config: The teacher.
        classes: Number of classes of the data.
        source: The run's batches.
        frames: Training frames of the whole run.

    Raises:
        ConfigError: If the teacher answers with another number of classes.
        ModelFileError: If the teacher cannot be read.
    """
    if config is None or config.weight == 0:
        return cross_entropy
    teacher = find_teacher(config.teacher)
    if teacher.spec.classes != classes:
        raise ConfigError(
            f"the teacher has {teacher.spec.classes} classes", where=config.teacher, allowed=f"{classes}, as the data"
        )
    kept = None
    if isinstance(source, FileBatches) and frames >= len(source.indices):
        kept = KeptAnswers(teacher, source)
        kept.ask()
    return DistillationLoss(teacher.network, config.weight, config.temperature, kept)


def find_teacher(name: str) -> SavedModel:
    """Load a saved model by its path, or a shipped network by its name."""
    return load_model(name) if Path(name).suffix == ".safetensors" else load(name)
