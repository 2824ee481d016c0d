"""Magnitude pruning with a threshold for every filter, from what its weights cost and what depends on them.

The scale of weights that a normalization follows: any scale gives the same function, but thresholds are lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.compression.budget import marginal_scores, masks_for_score
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.layers import BatchNorm
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.models.weighted_layers import FloatConvolution, QuantConvolution
from bacalhaunet.training.run_data import TrainingData

BATCHES = 64
"""Training batches that the mean squared gradients are taken over."""


def squared_gradients(
    network: nn.Module, spec: NetworkSpec, data: TrainingData, batches: int = BATCHES
) -> dict[str, Tensor]:
    """Return the mean squared gradient of each weight over the run's first training batches, by layer.

    The loss is the cross entropy of a batch, in training mode; the network stays as it was.
    """
    copy = deepcopy(network).train()
    layers, device = _layers(copy, spec), next(copy.parameters()).device
    squares = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
    for number in range(batches):
        batch = data.source.batch(number)
        copy.zero_grad(set_to_none=True)
        frames, labels = batch.frames.to(device), batch.labels.to(device)  # made on a GPU where there is one
        nn.functional.cross_entropy(copy(frames), labels).backward()
        for name, layer in layers.items():
            squares[name] += layer.weight.grad.square() / batches
    return squares


def masks_by_filter(
    network: nn.Module, spec: NetworkSpec, squares: Mapping[str, Tensor], target: float
) -> dict[str, Tensor]:
    r"""Mask ``|w| >= t`` for each prunable weight, with the thresholds t at which the score becomes ``target``.

        t = k sqrt(price / mean(g^2))

    price is what one weight of the layer adds to the score, the mean goes over those weights of an output channel that
    are not zero yet, and k, one number for the whole network, is found for the score. A weight at the threshold costs
    the same loss, to first order, for the same score in every filter. Where a normalization follows, a filter's
    weights may have any length without another function, and t follows it.

    Args:
        network: A trained network; it is not changed.
        spec: Its specification.
        squares: What ``squared_gradients`` returned.
        target: The score; what is kept costs at most that.

    Returns:
        By parameter name, True where the weight may be non-zero; weights that are zero stay so.

    Raises:
        ConfigError: If one weight a layer costs more than the target.
    """
    weights, worth = _worth(network, spec, squares)
    chosen = masks_for_score(spec, worth, target)
    return {f"{name}.weight": mask & (weights[name] != 0) for name, mask in chosen.items()}


def masks_by_length(
    network: nn.Module, spec: NetworkSpec, squares: Mapping[str, Tensor], min_abs_weight: float, weight_rms: float
) -> dict[str, Tensor]:
    r"""Mask ``v >= epsilon`` for each prunable weight, v its length in units that loss and score give every filter.

        v = c |w| sqrt(mean(g^2) / price),  c such that the root mean square of all v is R

    price and mean are those of ``masks_by_filter``; c is one number for the whole network. Weights of one v cost the
    same loss, to first order, for the same score, whatever lengths the optimizer left their filters with. The score is
    not chosen: epsilon and R decide what is cut.

    Args:
        network: A trained network; it is not changed.
        spec: Its specification.
        squares: What ``squared_gradients`` returned.
        min_abs_weight: epsilon, 0 or more.
        weight_rms: R, over those weights of all layers that are not zero; above 0.

    Returns:
        By parameter name, True where the weight may be non-zero; weights that are zero stay so.

    Raises:
        ConfigError: If epsilon would remove every weight of a layer.
    """
    weights, worth = _worth(network, spec, squares)
    prices = marginal_scores(spec)
    lengths = {name: (value / prices[name]).sqrt() for name, value in worth.items()}
    left = torch.cat([lengths[name][weight != 0] for name, weight in weights.items()])
    factor = weight_rms / left.square().mean().sqrt()
    masks = {}
    for name, weight in weights.items():
        mask = (factor * lengths[name] >= min_abs_weight) & (weight != 0)
        if not bool(mask.any()):
            raise ConfigError(
                f"min_abs_weight {min_abs_weight} removes every weight of {name}",
                allowed=f"at most {float((factor * lengths[name]).max()):.4g}, the layer's largest length",
                action="prune less, or raise weight_rms",
            )
        masks[f"{name}.weight"] = mask
    return masks


def _worth(
    network: nn.Module, spec: NetworkSpec, squares: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights by layer, and what the loss depends on each of them to first order: ``w^2 mean(g^2)``."""
    weights = {name: layer.weight.detach() for name, layer in _layers(network, spec).items()}
    return weights, {name: w.square() * _filter_mean(squares[name], w != 0) for name, w in weights.items()}


def _layers(network: nn.Module, spec: NetworkSpec) -> dict[str, Any]:
    return {layer.name: network.get_submodule(layer.name) for layer in spec.layers()}


def _filter_mean(squares: Tensor, kept: Tensor) -> Tensor:
    """Return the mean over the kept weights of each output channel, shaped to multiply the weight."""
    total = (squares * kept).flatten(1).sum(1) / kept.flatten(1).sum(1).clamp_min(1)
    return total.reshape(-1, *[1] * (squares.dim() - 1))


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
