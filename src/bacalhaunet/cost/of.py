"""The cost of anything that names a network: a file, a spec, a saved model, a catalog name, a graph in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Union

from bacalhaunet.cost.analytic import spec_cost
from bacalhaunet.cost.report import CostReport
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.resolve import NetworkSource, resolve_network
from bacalhaunet.models.spec import NetworkSpec

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from bacalhaunet.models.network import Network
    from bacalhaunet.models.saved import SavedModel

Target = Union[str, "os.PathLike[str]", NetworkSpec, "SavedModel", "ModelProto", "Network"]


def cost_of(target: Target, *, bits: int | None = None) -> CostReport:
    """Return the official cost of a network.

    Args:
        target: An ONNX file, a saved model (.safetensors), the folder of a run, a spec (.yaml, .json), a name, or one
            of these in memory: ``ModelProto``, ``SavedModel``, ``NetworkSpec``, a network in torch.
        bits: For an architecture or a spec: quantize weights, activations and sums to this many bits, the input to 8.

    Returns:
        For an ONNX graph what qonnx counts; otherwise the same by arithmetic, with the zeros of a saved model.

    Raises:
        ConfigError: If ``bits`` is given for a network whose bits are fixed.
        ModelFileError: If a file is missing or damaged, or there is no layer to charge for.
        SpecError: If no network has that name, or the spec cannot be built with these bits.

    Example:
        >>> round(cost_of("bacalhaunet").score, 4), round(cost_of("bacalhaunet", bits=6).score, 4)
        (1.4155, 0.0682)
    """
    if isinstance(target, NetworkSpec):
        return spec_cost(target if bits is None else quantize(target, bits))
    if isinstance(target, str | os.PathLike):
        return _cost_of_source(resolve_network(target), bits)
    if bits is not None:
        raise ConfigError(f"{bits} bits for a network whose bits are fixed", allowed="a catalog name or a spec")
    if hasattr(target, "graph"):
        from bacalhaunet.cost.metric import metric_cost

        return metric_cost(target)
    network: Any = getattr(target, "network", target)  # a saved model or a run holds one
    return _trained_cost(network, network.spec)


def quantize(spec: NetworkSpec, bits: int) -> NetworkSpec:
    """Return a spec with weights, activations and residual sums of ``bits`` bits and an input of 8."""
    return spec.quantized(bits, bits, input_bits=8, sum_bits=bits)


def _cost_of_source(source: NetworkSource, bits: int | None) -> CostReport:
    if source.kind in ("spec", "catalog"):
        return cost_of(source.spec(), bits=bits)
    if bits is not None:
        raise ConfigError(
            f"--bits {bits} for a network whose bits are fixed", where=source.name, allowed="an architecture or a spec"
        )
    if source.saved is not None:
        from bacalhaunet.models.saved import load_model

        saved = load_model(source.saved)
        return _trained_cost(saved.network, saved.spec)
    from bacalhaunet.cost.metric import metric_cost
    from bacalhaunet.models.onnx_files import read_onnx

    return metric_cost(read_onnx(source.name), source.name)


def _trained_cost(network: nn.Module, spec: NetworkSpec) -> CostReport:
    from bacalhaunet.cost.analytic import nonzero_weights

    return spec_cost(spec, nonzero_weights(network, spec))
