"""ONNX files as they come, with the dialects of quantizer nodes brought to one.

Quantizer nodes were written without a domain in early 2021, in Brevitas' and FINN's domains after that, and in qonnx's
now. They compute the same: ``y = s (clip(round(x / s + z), low, high) - z)``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bacalhaunet.errors import ModelFileError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

QONNX_DOMAIN = "qonnx.custom_op.general"
_OLD_DOMAINS = ("", "ai.onnx", "onnx.brevitas", "finn.custom_op.general", "brevitas")
_OPERATORS = {
    "Quant": "Quant",
    "IntQuant": "Quant",
    "BinaryQuant": "BipolarQuant",
    "BipolarQuant": "BipolarQuant",
    "Trunc": "Trunc",
}
_DEFAULTS: dict[str, dict[str, int | str]] = {
    "Quant": {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"},
    "Trunc": {"rounding_mode": "FLOOR"},
    "BipolarQuant": {},
}


def read_onnx(path: str | os.PathLike[str]) -> ModelProto:
    """Read an ONNX file and normalise its quantizer nodes.

    Every Quant, IntQuant, BinaryQuant, BipolarQuant and Trunc node gets the domain ``qonnx.custom_op.general`` and its
    missing attributes (rounding is half to even); initializers are no longer listed as inputs.

    Raises:
        ModelFileError: If the file is missing, damaged, has external data that is missing, or has no graph.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    file = Path(path)
    if not file.is_file():
        raise ModelFileError("the ONNX file does not exist", where=str(path), action="check the path")
    try:
        model = onnx.load(file)
    except (DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelFileError(
            f"not an ONNX file, or damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            where=str(path),
            allowed="an ONNX model with its external data, if any, beside it",
            action="export or copy it again",
        ) from error
    _check(model, str(path))
    normalise(model)
    return model


def _check(model: ModelProto, where: str) -> None:
    graph = model.graph
    if not graph.node or not graph.output:
        raise ModelFileError("the ONNX file has no graph", where=where, action="export it again")
    known = {tensor.name for tensor in (*graph.input, *graph.initializer)}
    known.update(tensor.values.name for tensor in graph.sparse_initializer)
    made = known.union(*(node.output for node in graph.node))
    for node in graph.node:
        missing = [name for name in node.input if name and name not in made]
        if missing:
            raise ModelFileError(
                f"nothing makes the tensor {missing[0]!r} that a {node.op_type} node takes",
                where=f"{where}, node {node.name or node.output[0]}",
                action="the file is damaged or was cut out of a larger graph: export it again",
            )
    for value in graph.output:
        if value.name not in made:
            raise ModelFileError(f"nothing makes the output {value.name!r}", where=where, action="export it again")


def normalise(model: ModelProto) -> None:
    """Bring quantizer nodes to qonnx's dialect, in place."""
    from onnx import helper

    changed = [node for node in model.graph.node if _normalise_node(node)]
    constants = {tensor.name for tensor in model.graph.initializer}
    _keep_true_inputs(model.graph, constants)
    domains = {entry.domain for entry in model.opset_import}
    if changed and QONNX_DOMAIN not in domains:
        model.opset_import.append(helper.make_opsetid(QONNX_DOMAIN, 1))
    used = {node.domain for node in model.graph.node} | {"", QONNX_DOMAIN}
    kept = [entry for entry in model.opset_import if entry.domain in used or entry.domain not in _OLD_DOMAINS]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _normalise_node(node: NodeProto) -> bool:
    """Bring one node to the dialect and say whether it is a quantizer."""
    from onnx import helper

    if node.op_type not in _OPERATORS or node.domain not in (*_OLD_DOMAINS, QONNX_DOMAIN):
        return False
    node.op_type, node.domain = _OPERATORS[node.op_type], QONNX_DOMAIN
    present = {attribute.name for attribute in node.attribute}
    for name, value in _DEFAULTS[node.op_type].items():
        if name not in present:
            node.attribute.append(helper.make_attribute(name, value))
    return True


def _keep_true_inputs(graph: GraphProto, constants: set[str]) -> None:
    kept = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(kept)
