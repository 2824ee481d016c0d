"""Where a network wastes bits under the metric, in words: what it is, what it costs, what to do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bacalhaunet.cost.graph import layer_name
from bacalhaunet.cost.report import FLOAT_BITS, CostReport, Finding, LayerCost

if TYPE_CHECKING:
    from bacalhaunet.cost.graph import Graph

SUM, INPUT, AVERAGE, LAYER, QUANTIZER = "sum", "input", "average", "layer", "quantizer"

_CAUSES: dict[str, tuple[str, str]] = {
    SUM: ("fed by a sum that no quantizer follows", "Quantize after the addition"),
    INPUT: ("fed by the network's input, which no quantizer reads first", "Quantize the input"),
    AVERAGE: ("fed by an average or another operation whose result is not quantized", "Quantize its result"),
    LAYER: ("fed by a layer whose output is not quantized", "Quantize that output"),
    QUANTIZER: (
        "fed by a quantizer that the metric cannot read (a zero point, or a bit width that is no scalar)",
        "Use symmetric quantizers with one constant bit width",
    ),
}
_KEEPS_VALUES = {"MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity"}
_LOOKED_THROUGH = {*_KEEPS_VALUES, "BatchNormalization", "Relu", "LeakyRelu", "Elu", "Clip", "Pad", "Concat", "Dropout"}
_WHAT_IF_FLOAT = 8
_POOL = "Use MaxPool over the full length, which it knows and which keeps the bits"
_KNOWN_INSTEAD = {
    "GlobalMaxPool": _POOL,
    "ReduceMax": _POOL,
    "GlobalAveragePool": _POOL,
    "ReduceMean": _POOL,
    "Squeeze": "Use Reshape, which it knows",
    "Unsqueeze": "Use Reshape, which it knows",
    "BipolarQuant": "Use a Quant node of 1 bit",
}


def percent(part: float, whole: float) -> str:
    """Write a share as a whole percentage, with more digits where it is small."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.0f} %" if share >= 1 or share == 0 else f"{share:.2g} %"


def listed(names: list[str]) -> str:
    """Join names as in a sentence; a long list is cut short."""
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def wide_input(cause: str, layers: list[LayerCost], report: CostReport) -> Finding:
    """Describe layers charged at 32 bits for a common cause, and what their score would be without it."""
    cured = {layer.name: layer.weight_bits if layer.weight_bits < FLOAT_BITS else _WHAT_IF_FLOAT for layer in layers}
    after = CostReport(
        tuple(replace(layer, input_bits=cured.get(layer.name, layer.input_bits)) for layer in report.layers)
    )
    cost = sum(layer.bit_ops for layer in layers)
    bits = sorted(set(cured.values()))
    each = ", ".join(f"{layer.name} {percent(layer.bit_ops, report.bit_ops)}" for layer in layers)
    what, cure = _CAUSES[cause]
    plural = len(layers) > 1
    text = (
        f"{listed([layer.name for layer in layers])} {'are' if plural else 'is'} {what}: "
        f"charged at {FLOAT_BITS} input bits, {cost} bit operations, {percent(cost, report.bit_ops)} of all"
        f"{f' ({each})' if plural else ''}. {cure}: at {' or '.join(map(str, bits))} bits "
        f"the score falls from {report.score:.6g} to {after.score:.6g}."
    )
    return Finding(tuple(layer.name for layer in layers), text, cost)


def float_weights(layers: list[LayerCost], report: CostReport) -> Finding:
    """Describe layers whose weights no quantizer made."""
    cost = sum(layer.bit_ops for layer in layers)
    names = {layer.name for layer in layers}
    after = CostReport(
        tuple(
            replace(layer, weight_bits=_WHAT_IF_FLOAT, input_bits=min(layer.input_bits, _WHAT_IF_FLOAT))
            if layer.name in names
            else layer
            for layer in report.layers
        )
    )
    verb = "do" if len(layers) > 1 else "does"
    whole = len(layers) == len(report.layers)
    subject = "no layer has" if whole else f"{listed([layer.name for layer in layers])} {verb} not have"
    text = (
        f"{subject} quantized weights: {cost} bit operations, {percent(cost, report.bit_ops)} of all, and "
        f"{sum(layer.bit_mem for layer in layers)} bits of weights at {FLOAT_BITS} bits each. Quantize inputs and "
        f"weights: at {_WHAT_IF_FLOAT} bits the score falls from {report.score:.6g} to {after.score:.6g}."
    )
    return Finding(tuple(sorted(names)), text, cost)


def find_waste(graph: Graph, report: CostReport) -> tuple[Finding, ...]:
    """Return what a costed graph wastes, the most expensive first.

    Args:
        graph: The graph with data types.
        report: Its layers.
    """
    layers = {layer.name: layer for layer in report.layers}
    findings: list[Finding] = []
    bare = [layer for layer in report.layers if layer.weights and layer.weight_bits >= FLOAT_BITS]
    if bare:
        findings.append(float_weights(bare, report))
    causes: dict[str, list[LayerCost]] = defaultdict(list)
    for node in graph.model.graph.node:
        layer = layers.get(layer_name(node))
        if layer is None or layer in bare:
            continue
        if layer.input_bits >= FLOAT_BITS:
            causes[_cause(graph, graph.activation(node))].append(layer)
        else:
            findings.extend(_requantized(graph, node, layer, report))
    findings.extend(wide_input(cause, group, report) for cause, group in causes.items())
    findings.sort(key=lambda finding: -finding.bit_ops)
    return (*findings, *(_unknown(operation) for operation in report.unsupported))


def _cause(graph: Graph, tensor: str) -> str:
    """Say why the metric charges a tensor at 32 bits."""
    for node in graph.trail(tensor):
        if node.op_type in ("Add", "Sub", "Sum"):
            # Adding a constant is a bias or part of a normalization, not a sum of two branches.
            if sum(not graph.is_constant(name) for name in node.input) > 1:
                return SUM
        elif node.op_type in ("Conv", "MatMul", "Gemm"):
            return LAYER
        elif node.op_type in ("Quant", "BipolarQuant", "Trunc", "IntQuant"):
            return QUANTIZER
        elif node.op_type not in _LOOKED_THROUGH and node.op_type not in ("Mul", "Div"):
            return AVERAGE
    return INPUT


def _requantized(graph: Graph, node: Any, layer: LayerCost, report: CostReport) -> list[Finding]:
    """Find an input whose quantizer has more bits than the values it is given."""
    outer: int | None = None
    for maker in graph.trail(graph.activation(node)):
        if maker.op_type == "Quant" and not graph.is_float(maker.output[0]):
            bits = graph.bits(maker.output[0])
            if outer is not None and bits < outer:
                saved = layer.counted_macs * (outer - bits) * layer.weight_bits
                text = (
                    f"{layer.name} reads {outer} bits from a quantizer that is given values of {bits} bits: {saved} "
                    f"bit operations, {percent(saved, report.bit_ops)} of all, for nothing. Leave that quantizer "
                    f"out, or give it {bits} bits."
                )
                return [Finding((layer.name,), text, saved)]
            outer = bits if outer is None else outer
        elif maker.op_type not in _KEEPS_VALUES:
            break
    return []


def _unknown(operation: str) -> Finding:
    cure = _KNOWN_INSTEAD.get(operation, "Use one it knows")
    return Finding((), f"the metric does not know the operation {operation} and charges nothing for it. {cure}.", 0)
