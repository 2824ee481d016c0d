"""Quantization in float, forward and backward, with as few passes over memory as torch allows.

These functions compute what Brevitas' quantizers of the same parameters compute, in value and in gradient; a test
holds them to that. They exist because training on a CPU is bound by memory traffic and Brevitas makes about ten passes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.models.gpu import passes


class _Quantize(torch.autograd.Function):
    """``y = s clip(round(x / s), low, high)`` with the straight-through gradient.

    dy/dx is 1 inside the range and 0 outside; dy/ds is ``round(x / s) - x / s`` inside and the bound outside.
    Source: Esser et al., "Learned step size quantization", ICLR 2020, equations 2 to 4, without gradient scaling.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
        ctx.save_for_backward(values, scale)
        ctx.low, ctx.high = low, high
        if values.is_cuda:
            out: Tensor = passes.run(passes.quantize, values, scale, low, high)
            return out
        return torch.div(values, scale).round_().clamp_(low, high).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        values, scale = ctx.saved_tensors
        if values.is_cuda:
            given = (gradient.contiguous(), scale, ctx.low, ctx.high)
            to_values, to_step = passes.run(passes.quantize_backward, values, *given)
            return to_values, to_step.reshape(scale.shape), None, None
        ratio = torch.div(values, scale)
        levels = ratio.round().clamp_(ctx.low, ctx.high)
        # Where the level was clipped the rounded ratio lies outside the range.
        rounded = ratio.round()
        inside = (rounded >= ctx.low) & (rounded <= ctx.high)
        to_scale = (gradient * torch.where(inside, levels - ratio, levels)).sum()
        return gradient * inside, to_scale.reshape(scale.shape), None, None


def quantize(values: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    """Return ``s clip(round(x / s), low, high)``, differentiable in x and s.

    Args:
        values: Any shape.
        scale: The step s, a scalar above 0.
        low: Lowest level.
        high: Highest level.
    """
    result: Tensor = _Quantize.apply(values, scale, low, high)
    return result


def update_running(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics towards those of a batch, as torch does.

    Args:
        norm: The normalization.
        mean: Mean of each channel (channels,).
        variance: Variance of each channel with one less in its denominator, (channels,).
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance, norm.momentum)


def running_line(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Return slope and shift, (channels,) each: in evaluation mode a normalization is ``slope z + shift``."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    slope = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return slope, norm.bias - norm.running_mean * slope
