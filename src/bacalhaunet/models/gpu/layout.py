"""How signals lie on a GPU: channel by channel, so that every layer is a product of matrices or a pass over rows.

A signal keeps its shape (batch, channels, 1, length), and its storage is (channels, batch, length). A pointwise layer
is then one product with a matrix of (channels, batch x length), and the statistics of a channel are those of one row.
"""

from __future__ import annotations

import torch
from torch import Tensor


def applies_to(signal: Tensor) -> bool:
    """Say whether ``signal`` is one that these functions are for."""
    return (
        signal.is_cuda
        and signal.dim() == 4
        and signal.shape[2] == 1
        and signal.dtype == torch.float32
        and not torch.onnx.is_in_onnx_export()
        and not torch.is_autocast_enabled("cuda")
    )


def by_channel(signal: Tensor) -> Tensor:
    """Return a signal (batch, channels, 1, length) as a contiguous tensor (channels, batch, length)."""
    return signal.squeeze(2).transpose(0, 1).contiguous()


def as_signal(channels: Tensor) -> Tensor:
    """Return a tensor (channels, batch, length) as a signal that shares its storage."""
    return channels.transpose(0, 1).unsqueeze(2)


def groups(rows: int, wanted: int) -> int:
    """Return the largest power of two, at most ``wanted``, that divides ``rows``.

    A product that sums over very many rows into a small matrix keeps few of a GPU's processors busy; done in groups
    that are added up afterwards it keeps all of them.
    """
    found = 1
    while 2 * found <= wanted and rows % (2 * found) == 0:
        found *= 2
    return found
