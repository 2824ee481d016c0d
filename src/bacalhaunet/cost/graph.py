"""What the metric reads off a graph: who makes a tensor, its bits and shape, and the names that layers were given."""

from __future__ import annotations

import re
from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Graph:
    """A graph with inferred shapes and qonnx data types.

    Args:
        model: A ``qonnx.core.modelwrapper.ModelWrapper`` as ``inference_cost`` leaves it.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._constants = {tensor.name for tensor in model.graph.initializer}
        self._sizes = {tensor.name: prod(tensor.dims) for tensor in model.graph.initializer}

    def maker(self, tensor: str) -> Any | None:
        """Return the node that makes a tensor; None for an input or a constant."""
        return self._makers.get(tensor)

    def is_constant(self, tensor: str) -> bool:
        """Whether a tensor is an initializer."""
        return tensor in self._constants

    def bits(self, tensor: str) -> int:
        """Bits the metric charges for a tensor."""
        return int(self.model.get_tensor_datatype(tensor).bitwidth())

    def is_float(self, tensor: str) -> bool:
        """Whether the metric takes a tensor for floating point."""
        return "FLOAT" in self.model.get_tensor_datatype(tensor).name

    def size(self, tensor: str) -> int:
        """Number of elements of an initializer."""
        return int(self._sizes[tensor])

    def shape(self, tensor: str) -> list[int]:
        """Shape of a tensor."""
        return list(self.model.get_tensor_shape(tensor) or [])

    def activation(self, node: Any) -> str:
        """Return the input of a layer that is not its weights."""
        first, second = node.input[0], node.input[1]
        return str(second if self.is_constant(first) and not self.is_constant(second) else first)

    def weight(self, node: Any) -> str | None:
        """Return the weights of a layer; None where they are not constant."""
        other = node.input[1] if self.activation(node) == node.input[0] else node.input[0]
        return str(other) if node.op_type != "Upsample" and self.is_constant(other) else None

    def mac_bits(self, node: Any) -> tuple[int, int]:
        """Return the bits of a layer's input and of its weights."""
        activation = self.activation(node)
        other = node.input[1] if activation == node.input[0] else node.input[0]
        return self.bits(activation), self.bits(activation if node.op_type == "Upsample" else other)

    def dense_macs(self, node: Any) -> int:
        """Return the multiply-accumulates of a Conv, MatMul or Gemm, zero weights included.

        Conv: outputs * weights of one output channel. MatMul and Gemm: outputs * length of the common dimension.
        """
        outputs = prod(self.shape(node.output[0]))
        if node.op_type == "Conv":
            return outputs * prod(self.shape(node.input[1])[1:])
        common = self.shape(node.input[0])
        transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
        return outputs * (common[0] if transposed else common[-1])

    def kind(self, node: Any) -> str:
        """Name what kind of layer a node is."""
        if node.op_type != "Conv":
            return "dense" if node.op_type in ("MatMul", "Gemm") else "upsampling"
        shape = self.shape(node.input[1])
        group = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if group > 1 and shape[1] == 1:
            return "depthwise"
        return "pointwise" if prod(shape[2:]) == 1 else "convolution"

    def trail(self, tensor: str) -> Iterator[Any]:
        """Yield the nodes a tensor comes through, nearest first, along the first input of each."""
        node, seen = self.maker(tensor), 0
        while node is not None and seen < len(self._makers):
            yield node
            dynamic = [name for name in node.input if name and not self.is_constant(name)]
            node, seen = (self.maker(dynamic[0]) if dynamic else None), seen + 1


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
