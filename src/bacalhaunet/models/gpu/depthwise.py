"""Depthwise convolution as products with banded matrices, which a GPU does many times faster than its own kernels.

With T outputs at a time, stride s and dilation d, output t of a window of W = (T - 1) s + (K - 1) d + 1 samples is

    y[t] = sum_i x[i] M[i, t],   M[t s + k d, t] = w[k],   0 elsewhere

so that all windows of a channel are the rows of one matrix. Most of M is zero, and the product is still far from what
bounds a GPU: the memory that signals are read from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bacalhaunet.models.gpu import passes
from bacalhaunet.models.gpu.passes import as_signal, by_channel, groups

OUTPUTS = 32
"""Outputs of a window, T."""

_GROUPS = 256
"""Products that the gradient of the taps is divided into, over all channels."""


@dataclass(frozen=True)
class Shape:
    """Shapes of a depthwise convolution.

    Attributes:
        channels: Channels in.
        filters: Filters of each; the channels out are those of one channel after another.
        kernel, stride, padding, dilation: As usual.
        length: Samples in.
    """

    channels: int
    filters: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    length: int

    @property
    def reach(self) -> int:
        """Samples between the first tap and the last."""
        return self.dilation * (self.kernel - 1)

    @property
    def length_out(self) -> int:
        """Samples out."""
        return (self.length + 2 * self.padding - self.reach - 1) // self.stride + 1

    @property
    def windows(self) -> int:
        """Windows of a frame."""
        return -(-self.length_out // OUTPUTS)

    @property
    def step(self) -> int:
        """Samples from one window to the next."""
        return OUTPUTS * self.stride

    @property
    def window(self) -> int:
        """Samples of a window, W."""
        return (OUTPUTS - 1) * self.stride + self.reach + 1

    @property
    def parts(self) -> int:
        """Steps that a window covers."""
        return -(-self.window // self.step)


@lru_cache(maxsize=64)
def _places(shape: Shape, device: torch.device) -> Tensor:
    """Return where tap k of output t stands in a matrix (window, outputs), flat: int64 (kernel, outputs)."""
    taps, outputs = torch.arange(shape.kernel, device=device), torch.arange(OUTPUTS, device=device)
    rows = outputs[None] * shape.stride + taps[:, None] * shape.dilation
    return rows * OUTPUTS + outputs


def _matrix(taps: Tensor, shape: Shape) -> Tensor:
    """Return M of every channel, (channels, window, filters x outputs), of taps (channels, filters, kernel)."""
    flat = taps.new_zeros(shape.channels, shape.filters, shape.window * OUTPUTS)
    places = _places(shape, taps.device).flatten()
    flat[..., places] = taps.repeat_interleave(OUTPUTS, -1)
    return flat.view(shape.channels, shape.filters, shape.window, OUTPUTS).transpose(1, 2).flatten(2)


def _windows(signal: Tensor, shape: Shape) -> Tensor:
    """Return the windows of (channels, batch, length) as (channels, batch x windows, window)."""
    windows: Tensor = passes.run(_unfold, signal, shape, dynamic=False)
    return windows


def _unfold(signal: Tensor, shape: Shape) -> Tensor:
    total = (shape.windows - 1) * shape.step + shape.window
    padded = functional.pad(signal, (shape.padding, total - shape.padding - shape.length))
    return padded.unfold(-1, shape.window, shape.step).reshape(shape.channels, -1, shape.window)


def _outputs(products: Tensor, batch: int, shape: Shape) -> Tensor:
    """Return (channels, batch x windows, filters x outputs) as (channels x filters, batch, length out)."""
    split = products.view(shape.channels, batch, shape.windows, shape.filters, OUTPUTS).permute(0, 3, 1, 2, 4)
    whole = split.reshape(shape.channels * shape.filters, batch, shape.windows * OUTPUTS)
    return whole[..., : shape.length_out].contiguous()


def _as_products(gradient: Tensor, shape: Shape) -> Tensor:
    """Undo ``_outputs``."""
    batch = gradient.shape[1]
    padded = functional.pad(gradient, (0, shape.windows * OUTPUTS - shape.length_out))
    split = padded.view(shape.channels, shape.filters, batch, shape.windows, OUTPUTS).permute(0, 2, 3, 1, 4)
    return split.reshape(shape.channels, batch * shape.windows, shape.filters * OUTPUTS)


def _to_taps(windows: Tensor, products: Tensor, shape: Shape) -> Tensor:
    """Return the gradient of the taps, (channels, filters, kernel)."""
    count = groups(windows.shape[1], max(1, _GROUPS // shape.channels))
    left = windows.view(shape.channels * count, -1, shape.window)
    right = products.view(shape.channels * count, -1, products.shape[-1])
    matrix = torch.bmm(left.transpose(1, 2), right).view(shape.channels, count, shape.window, shape.filters, OUTPUTS)
    flat = matrix.sum(1).transpose(1, 2).reshape(shape.channels, shape.filters, -1)
    return flat[..., _places(shape, flat.device)].sum(-1)


def _to_signal(products: Tensor, matrix: Tensor, batch: int, shape: Shape) -> Tensor:
    """Return the gradient of the signal, (channels, batch, length): what windows share is added up."""
    windows = torch.bmm(products, matrix.transpose(1, 2)).view(shape.channels, batch, shape.windows, shape.window)
    signal: Tensor = passes.run(_fold, windows, shape, dynamic=False)
    return signal


def _fold(windows: Tensor, shape: Shape) -> Tensor:
    padded = functional.pad(windows, (0, shape.parts * shape.step - shape.window))
    total = max(shape.windows + shape.parts - 1, -(-(shape.padding + shape.length) // shape.step))
    whole: Tensor | None = None
    for part in range(shape.parts):
        piece = padded[..., part * shape.step : (part + 1) * shape.step]
        moved = functional.pad(piece, (0, 0, part, total - shape.windows - part))
        whole = moved if whole is None else whole + moved
    assert whole is not None
    return whole.flatten(2)[..., shape.padding : shape.padding + shape.length].contiguous()


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signal: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
        batch, channels, _, length = signal.shape
        shape = Shape(channels, len(weight) // channels, weight.shape[-1], stride, padding, dilation, length)
        matrix = _matrix(weight.view(channels, shape.filters, shape.kernel), shape)
        windows = _windows(by_channel(signal), shape)
        ctx.save_for_backward(windows, matrix)
        ctx.shape, ctx.batch, ctx.weight_shape = shape, batch, weight.shape
        return as_signal(_outputs(torch.bmm(windows, matrix), batch, shape))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        windows, matrix = ctx.saved_tensors
        products, shape = _as_products(by_channel(gradient), ctx.shape), ctx.shape
        to_weight = _to_taps(windows, products, shape).view(ctx.weight_shape) if ctx.needs_input_grad[1] else None
        to_signal = as_signal(_to_signal(products, matrix, ctx.batch, shape)) if ctx.needs_input_grad[0] else None
        return to_signal, to_weight, None, None, None


def depthwise(signal: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
    """Convolve each channel with its own filters, weight (channels x filters, 1, kernel)."""
    out: Tensor = _Depthwise.apply(signal, weight, stride, padding, dilation)
    return out
