"""Weights that are not zero in a network in memory, as its export will hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from bacalhaunet.models.spec import NetworkSpec


def nonzero_weights(network: nn.Module, spec: NetworkSpec) -> dict[str, int]:
    """Return the number of weights that are not zero after quantization, by the layers of ``spec.layers()``.

    A weight smaller than half a step of its quantizer is stored as zero, and the metric does not charge for it.

    Args:
        network: The built network; the layers' names are the names of its modules.
        spec: What it was built from.
    """
    import torch

    counts = {}
    with torch.no_grad():
        for layer in spec.layers():
            counts[layer.name] = int(torch.count_nonzero(stored_weight(network.get_submodule(layer.name))))
    return counts


def stored_weight(module: Any) -> Any:
    """Return a layer's weights as they are exported: quantized where it has a quantizer."""
    quantized = getattr(module, "quant_weight", None)
    if quantized is None:
        return module.weight
    result = quantized()
    return getattr(result, "value", result)
