"""Magnitude pruning with a threshold for every filter, from what its weights cost and what depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.compression.budget import marginal_scores, masks_for_score
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.spec import NetworkSpec
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
