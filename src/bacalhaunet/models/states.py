"""What may be done with the weights of any network: carry them to other bits, find what normalizes them, clear them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor, nn

from bacalhaunet.errors import SpecError
from bacalhaunet.models.layers import BatchNorm, FloatConvolution, QuantConvolution, Quantizer, set_weight_steps

_THRESHOLD = ".scaling_impl.value"


def transfer_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the weights of a network of the same shape, whatever its bits; learned steps of weights fit them then.

    Thresholds of quantizers that only the target has stay as they are (``fit_thresholds`` sets them from frames); those
    that only the source has are dropped.

    Args:
        network: The target.
        state: ``state_dict()`` of the source.

    Raises:
        SpecError: If the two networks differ in more than their quantizers.
    """
    own = network.state_dict()
    wanted = {name for name in own if not name.endswith(_THRESHOLD)}
    given = {name for name in state if not name.endswith(_THRESHOLD)}
    differing = sorted(wanted ^ given) or sorted(n for n in wanted if own[n].shape != state[n].shape)
    if differing:
        raise SpecError(
            f"the weights belong to another network: {', '.join(differing[:4])} and {max(len(differing) - 4, 0)} more",
            allowed="a network with the same blocks, kernels and channels",
        )
    network.load_state_dict({**own, **{name: value for name, value in state.items() if name in own}})
    set_weight_steps(network)


def fit_thresholds(network: nn.Module, frames: Tensor, only: Collection[str] | None = None) -> None:
    """Set the threshold of every activation quantizer to the one of least squared error on ``frames``, in order.

    Each quantizer is set with those before it already quantizing. Weights and BatchNorm statistics stay as they are.

    Args:
        network: A network with trained weights, for example from ``transfer_state``.
        frames: float32 (batch, 2, length); a few hundred frames are enough.
        only: Names of the quantizers to set, as in ``named_modules``; None for all.
    """
    training = network.training
    network.eval()
    handles = [
        module.register_forward_pre_hook(_set_threshold)
        for name, module in network.named_modules()
        if isinstance(module, Quantizer) and (only is None or name in only)
    ]
    try:
        with torch.no_grad():
            network(frames)
    finally:
        for handle in handles:
            handle.remove()
        network.train(training)


def _set_threshold(quantizer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Search the threshold among 64 shares of the largest magnitude."""
    assert isinstance(quantizer, Quantizer)
    values = inputs[0].detach().flatten()
    values = values[:: max(1, values.numel() // 200_000)]
    largest = float(values.abs().max())
    if largest == 0:
        return
    steps = max(-quantizer.low, quantizer.high)
    errors = {}
    for share in torch.linspace(1 / 64, 1, 64).tolist():
        scale = share * largest / steps
        levels = (values / scale).round().clamp(quantizer.low, quantizer.high)
        errors[share] = float((levels * scale - values).square().sum())
    quantizer.threshold.fill_(largest * min(errors, key=errors.__getitem__))


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


NEGLIGIBLE = 1e-20
"""Magnitude below which a weight, or the scale of a normalization, adds nothing to any logit."""


def clear_dead_filters(network: nn.Module) -> int:
    """Set the weights of filters that nothing depends on to zero, in place, and return how many filters these are.

        norm(z) = gamma (z - mean) / sqrt(variance) + beta,  so where gamma = 0 the weights behind z do not matter

    In training a filter whose gamma has become 0 gets no gradient any more. Its weights would be charged and add
    nothing, and an export folds them into zeros. Quantized layers are left alone: their scale depends on all weights.
    """
    dead = 0
    with torch.no_grad():
        for layer, norm in normalized_layers(network):
            if not isinstance(layer, FloatConvolution):
                continue
            off = norm.weight.abs() < NEGLIGIBLE
            norm.weight[off] = 0
            layer.weight[off] = 0
            layer.weight[layer.weight.abs() < NEGLIGIBLE] = 0
            dead += int(off.sum())
    return dead
