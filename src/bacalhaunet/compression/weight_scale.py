"""The scale of weights that a normalization follows: any scale gives the same function, but thresholds are lengths."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from bacalhaunet.models.layers import BatchNorm
from bacalhaunet.models.weighted_layers import FloatConvolution, QuantConvolution

_NORM_OF = {
    "depthwise": "depthwise_norm",
    "pointwise": "pointwise_norm",
    "convolution": "norm",
    "expand": "expand_norm",
    "project": "project_norm",
}
"""What a block calls the normalization that follows a convolution, by what it calls the convolution."""


def normalized_layers(network: nn.Module) -> Iterator[tuple[FloatConvolution | QuantConvolution, BatchNorm]]:
    """Give every convolution that goes straight into a BatchNorm, with it."""
    for block in network.modules():
        for name, norm in _NORM_OF.items():
            layer, after = getattr(block, name, None), getattr(block, norm, None)
            if isinstance(layer, FloatConvolution | QuantConvolution) and isinstance(after, BatchNorm):
                yield layer, after


def rescale_weights(network: nn.Module, root_mean_square: float) -> None:
    """Bring the weights of each normalized convolution to a root mean square, in place.

        W <- c W,  bias <- c bias,  mean <- c mean,  variance <- c^2 variance  with  c = rms / sqrt(mean(w^2))

    ``norm(c z) = norm(z)``, so the function stays as it was, up to BatchNorm's epsilon. A pruning threshold is a
    length, and the length of such weights is whatever optimizer, penalty and number of steps left of it, in each layer
    another. Brought to one before every pruning step, a threshold means the same share of a layer's scale in all.

    Args:
        network: Quantized or not; learned steps of weights follow.
        root_mean_square: Of those weights of a layer that are not zero; above 0.
    """
    with torch.no_grad():
        for layer, norm in normalized_layers(network):
            kept = layer.weight[layer.weight != 0]
            if len(kept):
                _scale(layer, norm, root_mean_square / float(kept.square().mean().sqrt()))


def _scale(layer: FloatConvolution | QuantConvolution, norm: BatchNorm, factor: float) -> None:
    layer.weight.mul_(factor)
    if layer.bias is not None:
        layer.bias.mul_(factor)
    if isinstance(layer, QuantConvolution) and layer.learned_threshold is not None:
        layer.learned_threshold.mul_(factor)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.mul_(factor)
    norm.running_var.mul_(factor * factor)
