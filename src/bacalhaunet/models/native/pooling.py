"""The maximum over time as a differentiable torch function; ``models.native.functions`` says how signals lie."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from bacalhaunet.models.native.functions import address, library, signal_tensor, thread_count


class _Largest(torch.autograd.Function):
    """``y[b, c] = max_l x[b, c, l]``."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor) -> Tensor:
        batch, channels, _, length = signal.shape
        out, at = torch.empty((batch, channels, 1, 1)), torch.empty((batch, channels), dtype=torch.int32)
        library().largest(
            address(signal), address(out), address(at), ctypes.c_int64(batch), length, channels, thread_count()
        )
        ctx.save_for_backward(at)
        ctx.length = length
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (at,) = ctx.saved_tensors
        batch, channels = at.shape
        gradient, out = gradient.contiguous(), signal_tensor(batch, channels, ctx.length)
        library().largest_backward(
            address(gradient), address(at), address(out), ctypes.c_int64(batch), ctx.length, channels, thread_count()
        )
        return out


def largest(signal: Tensor) -> Tensor:
    """Return the maximum over time, (batch, channels, 1, 1); its gradient goes to the first step that has it."""
    out: Tensor = _Largest.apply(signal)
    return out
