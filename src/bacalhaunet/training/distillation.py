"""Learning from a teacher: the loss that mixes the labels with a larger network's soft answers, kept on disk."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bacalhaunet.cache import cache_folder
from bacalhaunet.data.batches import Batch, BatchSource, FrameBatches
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.gpu.functions import Replayed
from bacalhaunet.models.resolve import resolve_network
from bacalhaunet.models.saved import SavedModel, load_model
from bacalhaunet.outputs import whole_file
from bacalhaunet.training.config import DistillationConfig
from bacalhaunet.training.curve import duration
from bacalhaunet.training.task import Loss, cross_entropy

BLOCK = 1024
"""Frames the teacher is asked at once. Always the same ones together, so that the answers depend on nothing else."""

_EVERY_SECONDS = 15.0


class KeptAnswers:
    """Logits of a teacher, float16, in a file that every run with the same teacher and frames finds again.

    Args:
        teacher: The teacher; its network is asked in inference mode.
        batches: The training batches whose frames are asked; those of other parts are not touched.
        folder: Where the answers are kept; None for ``~/.cache/bacalhaunet/answers``.
    """

    def __init__(self, teacher: SavedModel, batches: FrameBatches, folder: Path | None = None) -> None:
        self.teacher, self.store = teacher.network.eval(), batches.frames.store
        self.indices = np.sort(batches.frames.rows)
        self.path = (folder or cache_folder() / "answers") / f"{_key(teacher, batches)}.npy"
        self._kept = _open(self.path, (len(self.indices), teacher.spec.classes))

    def of(self, rows: Tensor) -> Tensor:
        """Return the logits (batch, classes), float32, of frames of the batches by their numbers in the data set."""
        places = np.searchsorted(self.indices, rows.numpy())
        return torch.from_numpy(self._kept[places].astype(np.float32))

    def ask(self) -> None:
        """Ask the teacher what is not known yet. An interrupted call leaves what it has."""
        began = printed = time.monotonic()
        open_blocks = [first for first in range(0, len(self.indices), BLOCK) if not self._kept[first].any()]
        for number, first in enumerate(open_blocks, 1):
            chosen = self.indices[first : first + BLOCK]
            with torch.inference_mode():
                logits = self.teacher(torch.from_numpy(self.store.read(chosen))).to(torch.float16).numpy()
            # The first row goes last: it says that the block is there.
            self._kept[first + 1 : first + len(chosen)] = logits[1:]
            self._kept[first] = logits[0]
            if time.monotonic() - printed >= _EVERY_SECONDS:
                printed = time.monotonic()
                left = (printed - began) / number * (len(open_blocks) - number)
                done = f"{number * BLOCK:,} of {len(open_blocks) * BLOCK:,}"
                print(f"teacher: {done} frames answered, {duration(left)} left", file=sys.stderr, flush=True)


def _key(teacher: SavedModel, batches: FrameBatches) -> str:
    """Name what the answers depend on: the teacher, the data set as it is now, and which of its frames."""
    found = hashlib.sha256(teacher.spec.to_yaml().encode())
    for name, value in teacher.network.state_dict().items():
        found.update(name.encode() + value.cpu().numpy().tobytes())
    found.update(batches.frames.store.identity().encode())
    found.update(np.sort(batches.frames.rows).astype(np.int64).tobytes())
    return found.hexdigest()[:16]


def _open(path: Path, shape: tuple[int, int]) -> NDArray[np.float16]:
    """Open the array at ``path``, or make it; a row of zeros is not known yet."""
    if not path.is_file():
        with whole_file(path) as unfinished:
            np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)
    kept: NDArray[np.float16] = np.lib.format.open_memmap(path, "r+")
    return kept


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
    model = resolve_network(config.teacher, ("saved", "shipped"), "a teacher").saved
    assert model is not None
    teacher = load_model(model)
    if teacher.spec.classes != classes:
        raise ConfigError(
            f"the teacher has {teacher.spec.classes} classes", where=config.teacher, allowed=f"{classes}, as the data"
        )
    kept = None
    if isinstance(source, FrameBatches) and frames >= len(source.frames):
        kept = KeptAnswers(teacher, source)
        kept.ask()
    return DistillationLoss(teacher.network, config.weight, config.temperature, kept)
