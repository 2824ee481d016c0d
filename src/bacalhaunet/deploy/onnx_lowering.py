"""QONNX graphs as graphs that any ONNX runtime computes: quantizers as standard operators, the batch free or fixed.

    Quant(x; s, z, b) = (clip(round(x / s + z), low, high) - z) * s

with low and high the smallest and largest integer of b bits, signed or not, narrow or not, and round half to even, in
the order and the float32 arithmetic of Brevitas and qonnx. Any number of bits works, which QuantizeLinear's 8 do not.
Source: the QONNX operator definitions, https://github.com/fastmachinelearning/qonnx/tree/main/docs/qonnx-custom-ops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.errors import ModelFileError, UnsupportedOperationError
from bacalhaunet.models.onnx_files import GraphConstants

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

_OPSET = 13
"""The operator set of the lowered graph: the first whose Round, Clip and QuantizeLinear suit."""


def integer_range(bits: int, *, signed: bool, narrow: bool) -> tuple[int, int]:
    """Return the smallest and the largest integer of ``bits`` bits.

    signed: -2^(b-1) to 2^(b-1)-1, narrow drops the smallest; unsigned: 0 to 2^b-1, narrow drops the largest.
    """
    if signed:
        return -(2 ** (bits - 1)) + int(narrow), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - int(narrow)


class _Emitter:
    """Writes the operators that replace one node."""

    def __init__(self, node: NodeProto, constants: GraphConstants, linear: bool) -> None:
        self.node, self.constants, self.linear = node, constants, linear
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._stem = node.output[0]

    def attribute(self, name: str, default: Any) -> Any:
        from onnx import helper

        for attribute in self.node.attribute:
            if attribute.name == name:
                return helper.get_attribute_value(attribute)
        return default

    def op(self, op_type: str, *inputs: str, output: str | None = None) -> str:
        from onnx import helper

        name = output or f"{self._stem}_{len(self.nodes)}_{op_type}"
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [name], name=f"{self._stem}_{op_type}_{len(self.nodes)}")
        )
        return name

    def scalar(self, value: float, dtype: type[np.generic] = np.float32) -> str:
        from onnx import numpy_helper

        name = f"{self._stem}_c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def bits(self, position: int) -> int:
        value = self.constants.value(self.node.input[position])
        if value is None or value.size != 1 or not 1 <= float(value.reshape(())) <= 64:
            found = "computed from the input" if value is None else str(value)
            raise UnsupportedOperationError(
                f"the bit width of a {self.node.op_type} node is {found}",
                where=f"node {self.node.name or self.node.output[0]!r}",
                allowed="one constant number from 1 to 64",
                action="export the network again with a fixed bit width",
            )
        # As qonnx does, a fraction is cut off; bias quantizers have Ceil in the graph.
        return int(value.reshape(()))

    def is_zero(self, name: str) -> bool:
        value = self.constants.value(name)
        return value is not None and not np.any(value)


def _round(emit: _Emitter, x: str, mode: str) -> str:
    """Emit one of QONNX's rounding modes; UP, DOWN and the HALF modes are on the magnitude."""
    direct = {"ROUND": "Round", "HALF_EVEN": "Round", "CEIL": "Ceil", "FLOOR": "Floor"}
    if mode in direct:
        return emit.op(direct[mode], x)
    shifted: dict[str, tuple[float, str]] = {
        "UP": (0.0, "Ceil"),
        "DOWN": (0.0, "Floor"),
        "HALF_UP": (0.5, "Floor"),
        "HALF_DOWN": (-0.5, "Ceil"),
    }
    if mode not in shifted:
        raise UnsupportedOperationError(
            f"the rounding mode {mode!r} is unknown",
            where=f"node {emit.node.name or emit.node.output[0]!r}",
            allowed=", ".join([*direct, *shifted]),
        )
    shift, rounding = shifted[mode]
    magnitude = emit.op("Abs", x)
    if shift:
        magnitude = emit.op("Add", magnitude, emit.scalar(shift))
    return emit.op("Mul", emit.op("Sign", x), emit.op(rounding, magnitude))


def _mode(emit: _Emitter, default: str) -> str:
    value = emit.attribute("rounding_mode", default)
    return (value.decode() if isinstance(value, bytes) else str(value)).upper()


def _bipolar(emit: _Emitter, x: str) -> str:
    """Emit -1 for x < 0 and 1 otherwise."""
    negative = emit.op("Less", x, emit.scalar(0.0))
    return emit.op("Where", negative, emit.scalar(-1.0), emit.scalar(1.0))


def _clip(emit: _Emitter, x: str, bits: int) -> str:
    signed, narrow = bool(emit.attribute("signed", 1)), bool(emit.attribute("narrow", 0))
    low, high = integer_range(bits, signed=signed, narrow=narrow)
    return emit.op("Clip", x, emit.scalar(low), emit.scalar(high))


def _fits_linear(emit: _Emitter, bits: int) -> bool:
    """Whether QuantizeLinear computes this quantizer: of an activation, one scale, no offset, at most 8 bits."""
    x, scale, zero = emit.node.input[:3]
    value = emit.constants.value(scale)
    plain = value is not None and value.size == 1 and bool(np.all(value.astype(np.float64) > 0)) and emit.is_zero(zero)
    bipolar = bits == 1 and bool(emit.attribute("signed", 1))
    even = _mode(emit, "ROUND") in ("ROUND", "HALF_EVEN")
    return plain and even and not bipolar and bits <= 8 and emit.constants.value(x) is None


def _lower_to_linear(emit: _Emitter, bits: int) -> None:
    """Emit QuantizeLinear, an integer Clip where the range is not all of the byte, and DequantizeLinear."""
    signed, narrow = bool(emit.attribute("signed", 1)), bool(emit.attribute("narrow", 0))
    dtype: type[np.generic] = np.int8 if signed else np.uint8
    value = emit.constants.value(emit.node.input[1])
    assert value is not None
    scale, zero = emit.scalar(float(value.reshape(()))), emit.scalar(0, dtype)
    level = emit.op("QuantizeLinear", emit.node.input[0], scale, zero)
    low, high = integer_range(bits, signed=signed, narrow=narrow)
    if (low, high) != integer_range(8, signed=signed, narrow=False):
        level = emit.op("Clip", level, emit.scalar(low, dtype), emit.scalar(high, dtype))
    emit.op("DequantizeLinear", level, scale, zero, output=emit.node.output[0])


def _lower_quant(emit: _Emitter) -> None:
    x, scale, zero = emit.node.input[:3]
    bits = emit.bits(3)
    if emit.linear and _fits_linear(emit, bits):
        _lower_to_linear(emit, bits)
        return
    shifted = not emit.is_zero(zero)
    y = emit.op("Div", x, scale)
    if shifted:
        y = emit.op("Add", y, zero)
    if bits == 1 and emit.attribute("signed", 1):
        y = _bipolar(emit, y)
    else:
        y = _clip(emit, _round(emit, y, _mode(emit, "ROUND")), bits)
    if shifted:
        y = emit.op("Sub", y, zero)
    emit.op("Mul", y, scale, output=emit.node.output[0])


def _lower_bipolar(emit: _Emitter) -> None:
    x, scale = emit.node.input[:2]
    emit.op("Mul", _bipolar(emit, x), scale, output=emit.node.output[0])


def _lower_trunc(emit: _Emitter) -> None:
    """Trunc drops low bits: five inputs are version 1 (same scale), six are version 2 (an output scale and a clip)."""
    x, scale, zero, _ = emit.node.input[:4]
    y = emit.op("Round", emit.op("Add", emit.op("Div", x, scale), zero))
    if len(emit.node.input) == 5:
        factor = emit.scalar(2.0 ** (emit.bits(3) - emit.bits(4)))
        y = _round(emit, emit.op("Div", y, factor), _mode(emit, "FLOOR"))
        emit.op("Mul", emit.op("Sub", y, zero), scale, output=emit.node.output[0])
        return
    output_scale = emit.node.input[4]
    scales = emit.constants.value(scale), emit.constants.value(output_scale)
    if scales[0] is None or scales[1] is None:
        raise UnsupportedOperationError(
            "the scales of a Trunc node are not constant", where=f"node {emit.node.name or emit.node.output[0]!r}"
        )
    factor = emit.scalar(
        float(2 ** np.round(np.log2(scales[1].astype(np.float64) / scales[0].astype(np.float64))).reshape(-1)[0])
    )
    y = _round(emit, _clip(emit, emit.op("Div", y, factor), emit.bits(5)), _mode(emit, "FLOOR"))
    emit.op("Mul", emit.op("Sub", y, emit.op("Div", zero, factor)), output_scale, output=emit.node.output[0])


_LOWERINGS: dict[str, Callable[[_Emitter], None]] = {
    "Quant": _lower_quant,
    "IntQuant": _lower_quant,
    "BipolarQuant": _lower_bipolar,
    "Trunc": _lower_trunc,
}


def has_quant(model: ModelProto) -> bool:
    """Whether the graph has quantizer nodes that an ONNX runtime does not know."""
    return any(node.op_type in _LOWERINGS for node in model.graph.node)


def _raise_opset(model: ModelProto) -> ModelProto:
    """Return the model in operator set 13 or later; quantizer nodes are carried along untouched."""
    from onnx import version_converter

    version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    if version >= _OPSET:
        return model
    try:
        return version_converter.convert_version(model, _OPSET)
    except Exception as error:  # the converter's C++ errors have no common class
        raise ModelFileError(
            f"the graph of operator set {version} cannot be brought to {_OPSET}: {error}",
            action=f"export the network again with opset_version={_OPSET}",
        ) from error


def _lowered_nodes(model: ModelProto, linear: bool) -> Iterator[tuple[list[Any], list[Any]]]:
    constants = GraphConstants(model)
    for node in model.graph.node:
        lowering = _LOWERINGS.get(node.op_type)
        if lowering is None:
            yield [node], []
            continue
        emit = _Emitter(node, constants, linear)
        lowering(emit)
        yield emit.nodes, emit.initializers


def lower_quant(model: ModelProto, *, linear: bool = False) -> ModelProto:
    """Return the model with every quantizer node as Div, Round, Clip and Mul.

    Quantizers of weights and biases depend on constants only; the runtime folds them when it loads the graph.

    Args:
        model: A QONNX model of any dialect; it is not changed.
        linear: Write the quantizers of activations that have one scale and at most 8 bits as QuantizeLinear, Clip and
            DequantizeLinear. The function is the same and onnxruntime 20 % faster, but only in a session with
            ``session.disable_quant_qdq=1``: by default it fuses these nodes into another function.

    Returns:
        A model of standard operators, operator set 13 or later, initializers no longer among its inputs.

    Raises:
        UnsupportedOperationError: If a bit width is not constant or a rounding mode unknown.
        ModelFileError: If the operator set is too old to be raised.
    """
    import onnx

    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    for node in lowered.graph.node:
        if node.op_type in _LOWERINGS:
            node.domain = "qonnx.custom_op.general"
    if not any(entry.domain == "qonnx.custom_op.general" for entry in lowered.opset_import):
        lowered.opset_import.append(onnx.helper.make_opsetid("qonnx.custom_op.general", 1))
    lowered = _raise_opset(lowered)
    lowered.ir_version = max(lowered.ir_version, 7)
    parts = list(_lowered_nodes(lowered, linear))
    nodes = [node for made, _ in parts for node in made]
    lowered.graph.initializer.extend(tensor for _, made in parts for tensor in made)
    _replace(lowered.graph.node, nodes)
    _tidy(lowered)
    return lowered


def _tidy(model: ModelProto) -> None:
    """Drop initializers and operator sets that no node uses, and inputs that are initializers (never folded)."""
    needed = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    _replace(model.graph.initializer, kept)
    names = {tensor.name for tensor in kept}
    _replace(model.graph.input, [value for value in model.graph.input if value.name in needed - names])
    used = {node.domain for node in model.graph.node} | {"", "ai.onnx"}
    _replace(model.opset_import, [entry for entry in model.opset_import if entry.domain in used])


def _replace(field: Any, values: list[Any]) -> None:
    """Set a repeated protobuf field."""
    del field[:]
    field.extend(values)


def _free_reshape(tensor: TensorProto) -> TensorProto:
    """Return a Reshape target with its leading 1, the batch, worked out from the size or else copied (0)."""
    from onnx import numpy_helper

    shape = numpy_helper.to_array(tensor).copy()
    if shape.ndim == 1 and shape.size > 1 and shape[0] == 1:
        shape[0] = 0 if -1 in shape else -1
    return numpy_helper.from_array(shape, tensor.name)


def free_batch(model: ModelProto) -> ModelProto:
    """Return the model with the first dimension of its input and outputs free.

    Constant Reshape targets that start with the batch of one are freed too. Whether the graph then really treats the
    frames of a batch one by one is for the caller to check, by comparing with batch 1.

    Args:
        model: A model whose initializers are not among its inputs; it is not changed.
    """
    import onnx

    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    for value in [*freed.graph.input, *freed.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        if dimensions:
            dimensions[0].dim_param = "batch"
    del freed.graph.value_info[:]  # they hold the old batch
    targets = {node.input[1] for node in freed.graph.node if node.op_type == "Reshape" and len(node.input) > 1}
    for position, tensor in enumerate(freed.graph.initializer):
        if tensor.name in targets:
            freed.graph.initializer[position].CopyFrom(_free_reshape(tensor))
    for node in freed.graph.node:
        if node.op_type == "Reshape":  # 0 shall mean "as in the input"
            for attribute in node.attribute:
                if attribute.name == "allowzero":
                    attribute.i = 0
        if node.op_type == "Constant" and node.output[0] in targets:
            for attribute in node.attribute:
                if attribute.name == "value":
                    attribute.t.CopyFrom(_free_reshape(attribute.t))
    return freed


def fix_batch(model: ModelProto, size: int = 1) -> ModelProto:
    """Return the model with every free first dimension of its inputs and outputs set to ``size``."""
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    constants = {tensor.name for tensor in fixed.graph.initializer}
    for value in [*fixed.graph.input, *fixed.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        if value.name not in constants and dimensions and dimensions[0].dim_value != size:
            dimensions[0].dim_value = size
    del fixed.graph.value_info[:]
    return fixed


def make_session(graph: bytes, threads: int = 1) -> Any:
    """Return an onnxruntime session on the CPU.

    Without ``session.disable_quant_qdq=1`` onnxruntime fuses QuantizeLinear and DequantizeLinear into 8-bit operators,
    which for any other number of bits is another function: 77.9 % of the classes agree for the 2021 network.

    Args:
        graph: A serialized ONNX model.
        threads: Threads inside an operator.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors arrive as exceptions; the log would only repeat them
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
