"""A batch of frames cut into tiles: the frames that one piece of code makes together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bacalhaunet.errors import ConfigError


def tiles(kinds: Tensor, size: int) -> Iterator[tuple[int, Tensor, int]]:
    """Kind, row numbers and how many of them count, for all rows of a batch.

    On a CPU every tile has ``size`` rows, the last of them repeated where there are fewer, so that no kernel can choose
    another order of summation for a smaller one.

    Args:
        kinds: int64 (B,); the rows of one kind are made together.
        size: Largest number of rows of a tile.

    >>> [(kind, rows.tolist(), count) for kind, rows, count in tiles(torch.tensor([1, 0, 1]), 2)]
    [(0, [1, 1], 1), (1, [0, 2], 2)]
    """
    for kind in torch.unique(kinds).tolist():
        for rows in torch.split(torch.nonzero(kinds == kind).view(-1), size):
            count = len(rows)
            if count < size and kinds.device.type == "cpu":
                rows = torch.cat((rows, rows[-1:].expand(size - count)))
            yield kind, rows, count


def check_batch(modulation: Tensor, snr_db: Tensor, index: Tensor, classes: int, action: str | None = None) -> None:
    """Raise ``ConfigError`` unless the three name frames of ``classes`` classes; ``action`` is for an unknown label."""
    if not modulation.shape == snr_db.shape == index.shape or modulation.dim() != 1:
        shapes = [tuple(value.shape) for value in (modulation, snr_db, index)]
        raise ConfigError(f"modulation, snr_db and index have shapes {shapes}", allowed="one length (B,) for all three")
    if len(modulation) and not 0 <= int(modulation.min()) <= int(modulation.max()) < classes:
        labels = f"labels run from {int(modulation.min())} to {int(modulation.max())}"
        raise ConfigError(labels, allowed=f"0 to {classes - 1}", action=action)
