"""A teacher's answers to the frames of a file: each frame is asked once, and the answers are kept on disk."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bacalhaunet.cache import cache_folder
from bacalhaunet.data.batches import FileBatches
from bacalhaunet.models.saved import SavedModel
from bacalhaunet.outputs import whole_file
from bacalhaunet.training.progress import duration

BLOCK = 1024
"""Frames the teacher is asked at once. Always the same ones together, so that the answers depend on nothing else."""

_EVERY_SECONDS = 15.0


class KeptAnswers:
    """Logits of a teacher, float16, in a file that every run with the same teacher and frames finds again.

    Args:
        teacher: The teacher; its network is asked in inference mode.
        batches: The training batches whose frames are asked; those of other parts of the file are not touched.
        folder: Where the answers are kept; None for ``~/.cache/bacalhaunet/answers``.
    """

    def __init__(self, teacher: SavedModel, batches: FileBatches, folder: Path | None = None) -> None:
        self.teacher, self.file = teacher.network.eval(), batches.file
        self.indices = np.sort(batches.indices)
        self.path = (folder or cache_folder() / "answers") / f"{_key(teacher, batches)}.npy"
        self._kept = _opened(self.path, (len(self.indices), teacher.spec.classes))

    def of(self, rows: Tensor) -> Tensor:
        """Return the logits (batch, classes), float32, of frames of the batches by their numbers in the file."""
        places = np.searchsorted(self.indices, rows.numpy())
        return torch.from_numpy(self._kept[places].astype(np.float32))

    def ask(self) -> None:
        """Ask the teacher what is not known yet. An interrupted call leaves what it has."""
        began = printed = time.monotonic()
        open_blocks = [first for first in range(0, len(self.indices), BLOCK) if not self._kept[first].any()]
        for number, first in enumerate(open_blocks, 1):
            chosen = self.indices[first : first + BLOCK]
            with torch.inference_mode():
                logits = self.teacher(torch.from_numpy(self.file.read(chosen).frames)).to(torch.float16).numpy()
            # The first row goes last: it says that the block is there.
            self._kept[first + 1 : first + len(chosen)] = logits[1:]
            self._kept[first] = logits[0]
            if time.monotonic() - printed >= _EVERY_SECONDS:
                printed = time.monotonic()
                left = (printed - began) / number * (len(open_blocks) - number)
                done = f"{number * BLOCK:,} of {len(open_blocks) * BLOCK:,}"
                print(f"teacher: {done} frames answered, {duration(left)} left", file=sys.stderr, flush=True)


def _key(teacher: SavedModel, batches: FileBatches) -> str:
    """Name what the answers depend on: the teacher, the file as it is now, and which of its frames."""
    found = hashlib.sha256(teacher.spec.to_yaml().encode())
    for name, value in teacher.network.state_dict().items():
        found.update(name.encode() + value.cpu().numpy().tobytes())
    path = Path(batches.file.path).resolve()
    state = path.stat()
    found.update(f"{path} {state.st_size} {state.st_mtime_ns}".encode())
    found.update(np.sort(batches.indices).astype(np.int64).tobytes())
    return found.hexdigest()[:16]


def _opened(path: Path, shape: tuple[int, int]) -> NDArray[np.float16]:
    """Open the array at ``path``, or make it; a row of zeros is not known yet."""
    if not path.is_file():
        with whole_file(path) as unfinished:
            np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)
    kept: NDArray[np.float16] = np.lib.format.open_memmap(path, "r+")
    return kept
