"""Passes over memory: what stands between two products, fused by ``torch.compile`` on a GPU.

A signal lies channel by channel, so that every layer is a product of matrices or a pass over rows: it keeps its shape
(batch, channels, 1, length), and its storage is (channels, batch, length). A pointwise layer is then one product with a
matrix of (channels, batch x length), and the statistics of a channel are those of one row.

In the functions a signal is (channels, batch, length), numbers of a channel are (channels,), scales are scalars. They
say the forward and the backward pass as formulas of whole tensors, so that they run anywhere; compiled, each is two or
three kernels instead of ten or twenty. Sums are taken over the length first: those of all channels and frames keep a
GPU busy, and what is written beside them is written in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor


def _normalized(signal: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    return torch.relu(signal * slope[:, None, None] + shift[:, None, None])


def _moments(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of each channel, by those of its frames."""
    variances, means = torch.var_mean(signal, dim=2, correction=0)
    mean = means.mean(1)
    return mean, variances.mean(1) + (means - mean[:, None]).square().mean(1)


def _level(positive: Tensor, step: Tensor, high: int) -> Tensor:
    return (positive / step).round().clamp(max=high) * step


def activate(signal: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``relu(gamma (z - mean) / deviation + beta)``, the mean and the variance of each channel."""
    mean, variance = _moments(signal)
    slope = gamma * torch.rsqrt(variance + epsilon)
    return _normalized(signal, slope, beta - mean * slope), mean, variance


def activate_to_levels(
    signal: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, step: Tensor, high: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Do ``activate``, then ``s clip(round(y / s), 0, high)``."""
    mean, variance = _moments(signal)
    slope = gamma * torch.rsqrt(variance + epsilon)
    return _level(_normalized(signal, slope, beta - mean * slope), step, high), mean, variance


def activate_backward(
    signal: Tensor, gradient: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, mean: Tensor, variance: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the signal, of gamma and of beta."""
    inverse = torch.rsqrt(variance + epsilon)
    slope = gamma * inverse
    through = gradient * (_normalized(signal, slope, beta - mean * slope) > 0)
    return _through_norm(signal, through, slope, mean, inverse)


def activate_to_levels_backward(
    signal: Tensor,
    gradient: Tensor,
    gamma: Tensor,
    beta: Tensor,
    epsilon: float,
    mean: Tensor,
    variance: Tensor,
    step: Tensor,
    high: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of the signal, of gamma, of beta and of the step."""
    inverse = torch.rsqrt(variance + epsilon)
    slope = gamma * inverse
    ratio = _normalized(signal, slope, beta - mean * slope) / step
    rounded = ratio.round()
    inside = rounded <= high
    to_step = (gradient * torch.where(inside, rounded - ratio, float(high))).sum(2).sum()
    return *_through_norm(signal, gradient * (inside & (ratio > 0)), slope, mean, inverse), to_step


def _through_norm(
    signal: Tensor, through: Tensor, slope: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    normal = (signal - mean[:, None, None]) * inverse[:, None, None]
    to_beta, to_gamma = through.sum(2).sum(1), (through * normal).sum(2).sum(1)
    count = signal.shape[1] * signal.shape[2]
    means = (to_beta / count)[:, None, None], (to_gamma / count)[:, None, None]
    return slope[:, None, None] * (through - means[0] - normal * means[1]), to_gamma, to_beta


def known_activate(signal: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    """Return ``relu(slope z + shift)``."""
    return _normalized(signal, slope, shift)


def quantize(values: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """Return ``s clip(round(x / s), low, high)``."""
    return (values / step).round().clamp(low, high) * step


def quantize_backward(values: Tensor, gradient: Tensor, step: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
    """Return the gradients of the values and of the step; see ``models.fake_quant``."""
    ratio = values / step
    rounded = ratio.round()
    inside = (rounded >= low) & (rounded <= high)
    to_step = (gradient * torch.where(inside, rounded - ratio, rounded.clamp(low, high))).sum(-1).sum()
    return gradient * inside, to_step


@cache
def compiled(function: Callable[..., Any], dynamic: bool) -> Callable[..., Any]:
    """Return a function compiled once for all shapes (``dynamic``), or once for each."""
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
    result: Callable[..., Any] = torch.compile(function, dynamic=dynamic)
    return result


def run(function: Callable[..., Any], first: Tensor, *others: Any, dynamic: bool = True) -> Any:
    """Run a pass on the device of its first argument, without recording gradients.

    Args:
        function: The pass.
        first: A tensor.
        others: Its other arguments.
        dynamic: Whether it is compiled once for all shapes.
    """
    with torch.no_grad():
        if not first.is_cuda:
            return function(first, *others)
        # Parameters, and views with the tensor they are of, would each be compiled for anew.
        plain = [value.data if isinstance(value, Tensor) else value for value in (first, *others)]
        return compiled(function, dynamic)(*plain)


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
