"""Values of an ONNX graph that do not depend on its input, worked out when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import GraphProto, ModelProto, NodeProto

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
