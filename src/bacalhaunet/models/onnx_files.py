"""ONNX files as they come: quantizer nodes brought to one dialect, and the values that do not depend on the input.

Quantizer nodes were written without a domain in early 2021, in Brevitas' and FINN's domains after that, and in qonnx's
now. They compute the same: ``y = s (clip(round(x / s + z), low, high) - z)``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.errors import ModelFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray
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


_STANDARD_DOMAINS = ("", "ai.onnx")


class GraphConstants:
    """The constants of a graph: initializers, Constant nodes, and what standard operators make of only these.

    The 2021 exports, for one, compute the bit width of a bias as ``Ceil`` of an initializer.

    Args:
        model: A model; it is read, not changed.
    """

    def __init__(self, model: ModelProto) -> None:
        from onnx import numpy_helper

        self._opset = next((o.version for o in model.opset_import if o.domain in _STANDARD_DOMAINS), 13)
        self._makers: dict[str, NodeProto] = {name: node for node in model.graph.node for name in node.output}
        self._values: dict[str, NDArray[np.generic] | None] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }

    def value(self, name: str) -> NDArray[np.generic] | None:
        """Return the value of a tensor; None if it depends on the input or a custom operator makes it."""
        if name not in self._values:
            self._values[name] = None  # what a damaged, cyclic graph ends on
            self._evaluate(name)
        return self._values[name]

    def _evaluate(self, name: str) -> None:
        node = self._makers.get(name)
        if node is None or node.domain not in _STANDARD_DOMAINS or any(a.HasField("g") for a in node.attribute):
            return
        inputs = {source: self.value(source) for source in node.input if source}
        if any(value is None for value in inputs.values()):
            return
        results = self._run(node, {k: v for k, v in inputs.items() if v is not None})
        self._values.update(zip(node.output, results, strict=False))

    def _run(self, node: NodeProto, inputs: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic] | None]:
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        graph = helper.make_graph(
            [node],
            "constant",
            [
                helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
                for k, v in inputs.items()
            ],
            [helper.make_tensor_value_info(k, TensorProto.UNDEFINED, None) for k in node.output],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)])
        try:
            return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, inputs)]
        except Exception:
            # It names no error class for an operator it lacks; such a tensor counts as not constant.
            return [None] * len(node.output)


def constants_to_initializers(graph: GraphProto) -> None:
    """Replace the Constant nodes of a graph by initializers, in place."""
    from onnx import numpy_helper

    kept: list[Any] = []
    for node in graph.node:
        array = _constant(node) if node.op_type == "Constant" else None
        if array is None:
            kept.append(node)
        else:
            graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)


def _constant(node: NodeProto) -> NDArray[Any] | None:
    """Return the numbers of a Constant node; None where it holds text or a sparse tensor."""
    from onnx import TensorProto, helper, numpy_helper

    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, TensorProto):
            return np.asarray(numpy_helper.to_array(value))
        if attribute.name in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    return None
