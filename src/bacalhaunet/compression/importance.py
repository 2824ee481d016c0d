"""How important each weight of a network is: what decides which weights pruning cuts first.

    magnitude    w^2
    layer-rms    w^2 / mean(w^2)      the mean over the layer
    saliency     w^2 mean(g^2)        g the gradient of the loss: its first-order change without the weight, squared

The root of the importance is a length, which a threshold is compared with. Any scale of weights that a normalization
follows gives the same function, so lengths need a unit: ``weight_rms``, the root mean square that they are brought to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.compression.budget import marginal_scores
from bacalhaunet.compression.config import Importance
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.layers import BatchNorm, FloatConvolution, QuantConvolution
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.models.states import normalized_layers
from bacalhaunet.training.run_data import TrainingData

BATCHES = 64
"""Training batches that the mean squared gradients are taken over."""


def _relative(weight: Tensor, _squares: Tensor) -> Tensor:
    square = weight.square()
    return square / square.mean().clamp_min(1e-30)


IMPORTANCES: dict[Importance, Callable[[Tensor, Tensor], Tensor]] = {
    "magnitude": lambda weight, _squares: weight.square(),
    "layer-rms": _relative,
    "saliency": lambda weight, squares: weight.square() * squares,
}
"""The importance of a layer's weights, 0 or more, from the weights and their mean squared gradients."""


def layer_weights(network: nn.Module, spec: NetworkSpec) -> dict[str, Tensor]:
    """Return the weights by layer, detached."""
    return {name: layer.weight.detach() for name, layer in _layers(network, spec).items()}


def importances(
    network: nn.Module, spec: NetworkSpec, importance: Importance, squares: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the importance of each weight by layer.

    Args:
        network: A trained network; it is not changed.
        spec: Its specification.
        importance: Which one.
        squares: What ``squared_gradients`` returned; their mean over a filter counts. Empty where none are needed.
    """
    found = {}
    for name, weight in layer_weights(network, spec).items():
        mean = _filter_mean(squares[name], weight != 0) if squares else weight
        found[name] = IMPORTANCES[importance](weight, mean)
    return found


def lengths(
    network: nn.Module,
    spec: NetworkSpec,
    importance: Importance,
    squares: Mapping[str, Tensor],
    weight_rms: float | None = None,
) -> dict[str, Tensor]:
    r"""Return what a threshold epsilon is compared with, by layer.

        magnitude    v = |w|
        layer-rms    v = |w|, after each normalized layer was brought to the root mean square R
        saliency     v = c |w| sqrt(mean(g^2) / price),  c such that the root mean square of all v is R

    price is what one weight of the layer adds to the score, the mean goes over those weights of an output channel that
    are not zero yet, and c is one number for the whole network. Weights of one saliency cost the same loss, to first
    order, for the same score, whatever lengths the optimizer left their filters with.

    Args:
        network: A trained network. ``layer-rms`` rescales its weights, which leaves its function as it was.
        spec: Its specification.
        importance: Which length.
        squares: What ``squared_gradients`` returned, for ``saliency``.
        weight_rms: R, over those weights that are not zero; above 0.
    """
    if importance == "saliency":
        assert weight_rms is not None
        prices = marginal_scores(spec)
        found = {n: (value / prices[n]).sqrt() for n, value in importances(network, spec, importance, squares).items()}
        left = torch.cat([found[name][weight != 0] for name, weight in layer_weights(network, spec).items()])
        factor = weight_rms / left.square().mean().sqrt()
        return {name: factor * value for name, value in found.items()}
    if importance == "layer-rms":
        assert weight_rms is not None
        rescale_weights(network, weight_rms)
    return {name: weight.abs() for name, weight in layer_weights(network, spec).items()}


def check_unit(importance: Importance, weight_rms: float | None) -> None:
    """Raise ConfigError unless lengths of this importance have the unit they need: ``magnitude`` takes none."""
    if (importance == "magnitude") != (weight_rms is None) or not (weight_rms is None or weight_rms > 0):
        raise ConfigError(
            f"weight_rms is {weight_rms} with importance {importance}",
            allowed="none with magnitude, a number above 0 with layer-rms and saliency",
            action="pass --weight-rms R and --importance layer-rms or saliency, or neither",
        )


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


def _layers(network: nn.Module, spec: NetworkSpec) -> dict[str, Any]:
    return {layer.name: network.get_submodule(layer.name) for layer in spec.layers()}


def _filter_mean(squares: Tensor, kept: Tensor) -> Tensor:
    """Return the mean over the kept weights of each output channel, shaped to multiply the weight."""
    total = (squares * kept).flatten(1).sum(1) / kept.flatten(1).sum(1).clamp_min(1)
    return total.reshape(-1, *[1] * (squares.dim() - 1))


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
