"""The cost of a specification by arithmetic: what its export would cost, without building or exporting it.

The weights that are not zero are those of a network in memory, as its export will hold them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bacalhaunet.cost.findings import AVERAGE, INPUT, LAYER, SUM, float_weights, wide_input
from bacalhaunet.cost.report import FLOAT_BITS, CostReport, Finding, LayerCost
from bacalhaunet.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from bacalhaunet.models.spec import NetworkSpec


def spec_cost(spec: NetworkSpec, nonzero: Mapping[str, int] | None = None) -> CostReport:
    """Return the cost of a network from its specification.

    Args:
        spec: The network.
        nonzero: Number of weights that are not zero after quantization, by layer; layers that are not named, and all
            of them without it, count as dense.

    Raises:
        ConfigError: If a count is not between 0 and the layer's number of weights, or a name is no layer.
    """
    counts = dict(nonzero or {})
    layers = []
    for layer in spec.layers():
        count = counts.pop(layer.name, layer.weights)
        if not 0 <= count <= layer.weights:
            raise ConfigError(f"{count} weights that are not zero in {layer.name}", allowed=f"0 to {layer.weights}")
        bits = layer.input_bits, layer.weight_bits
        layers.append(LayerCost(layer.name, layer.kind, layer.macs, layer.weights, count, *bits))
    if counts:
        raise ConfigError(
            f"no layer is called {', '.join(counts)}", allowed=", ".join(layer.name for layer in spec.layers())
        )
    report = CostReport(tuple(layers))
    return replace(report, findings=_findings(spec, report))


def _findings(spec: NetworkSpec, report: CostReport) -> tuple[Finding, ...]:
    """Name the waste that the specification itself decides: float weights and inputs at 32 bits."""
    findings: list[Finding] = []
    bare = [layer for layer in report.layers if layer.weight_bits >= FLOAT_BITS]
    if bare:
        findings.append(float_weights(bare, report))
    causes: dict[str, list[LayerCost]] = defaultdict(list)
    for layer, cause in zip(report.layers, _causes(spec), strict=True):
        if layer.input_bits >= FLOAT_BITS and layer not in bare:
            causes[cause].append(layer)
    findings.extend(wide_input(cause, layers, report) for cause, layers in causes.items())
    return tuple(sorted(findings, key=lambda finding: -finding.bit_ops))


def _causes(spec: NetworkSpec) -> Iterator[str]:
    """Yield, layer by layer, why its input would be charged at 32 bits."""
    entering = INPUT
    for name, block, flow in spec.steps():
        for position, _ in enumerate(block.layers(name, flow)):
            yield LAYER if position else entering
        has_sum = getattr(block, "has_sum", None)
        entering = SUM if has_sum is not None and has_sum(flow) else LAYER
    entering = AVERAGE if spec.head.pool == "average" else entering
    for position in range(len(spec.head.hidden) + 1):
        yield LAYER if position else entering


def nonzero_weights(network: nn.Module, spec: NetworkSpec) -> dict[str, int]:
    """Return the number of weights that are not zero after quantization, by the layers of ``spec.layers()``.

    A weight smaller than half the scale of its quantizer is stored as zero, and the metric does not charge for it.

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
