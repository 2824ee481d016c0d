"""Names for the layers of a graph: those its author gave to the weights, where the exporter kept them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

LAYER_OPERATORS = ("Conv", "MatMul", "Gemm", "Upsample")
"""The operators that qonnx charges for."""

_GENERATED = re.compile(r"^(\d+|onnx::.*|/?Constant.*|.*_output_\d+.*|val_\d+|v\d+)$")
_PARAMETER = re.compile(r"[./](weight|bias|kernel)(_quant)?([._].*)?$")


def label_layers(graph: Any) -> None:
    """Write each layer's name into the ``doc_string`` of its node, which qonnx's renaming and sorting leave alone.

    Args:
        graph: A ``GraphProto`` whose tensors have the names of the trained parameters; its nodes are changed.
    """
    makers = {name: node for node in graph.node for name in node.output}
    seen: Counter[str] = Counter()
    for node in graph.node:
        name = _name(node, makers) if node.op_type in LAYER_OPERATORS else None
        if name:
            seen[name] += 1
        # Shared weights give a name twice.
        node.doc_string = name if name and seen[name] == 1 else f"{name}#{seen[name]}" if name else ""


def layer_name(node: Any) -> str:
    """Return the name written by ``label_layers``; where there was none, the one qonnx gave the node."""
    return str(node.doc_string or node.name)


def _name(node: Any, makers: dict[str, Any]) -> str | None:
    """Name a layer after its weights, else its bias, else the node."""
    for source in [*node.input[1:], *node.input[:1]]:
        parameter = _origin(source, makers)
        if parameter and not _GENERATED.match(parameter) and _PARAMETER.search(parameter):
            return _PARAMETER.sub("", parameter)
    path = re.sub(r"/(Conv|MatMul|Gemm)(_\d+)?$", "", node.name).strip("/").replace("/", ".")
    return path or None


def _origin(tensor: str, makers: dict[str, Any]) -> str | None:
    """Follow quantizers and transpositions back to the parameter they start from; None if a layer is met."""
    for _ in range(8):
        node = makers.get(tensor)
        if node is None:
            return tensor
        if node.op_type not in ("Quant", "BipolarQuant", "Transpose", "DequantizeLinear", "QuantizeLinear", "Clip"):
            return None
        tensor = node.input[0]
    return None
