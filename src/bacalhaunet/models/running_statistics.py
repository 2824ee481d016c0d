"""A normalization's running statistics, for functions that compute BatchNorm themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
