"""What ONNX layers and quantizers do to the symbolic forms: convolutions, dense layers, pools, and ``Quant`` nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bacalhaunet.deploy.integer.builder import (
    FloatForm,
    Form,
    InputForm,
    Levels,
    LevelsForm,
    PendingForm,
    Pool,
    ShapeForm,
    WeightsForm,
)
from bacalhaunet.deploy.integer.lowering import Walk, as_scalar, label
from bacalhaunet.deploy.integer.program import FloatArray, InputQuantizer, IntArray
from bacalhaunet.deploy.onnx_lowering import integer_range
from bacalhaunet.errors import UnsupportedOperationError

if TYPE_CHECKING:
    from onnx import NodeProto


def attributes(node: NodeProto) -> dict[str, Any]:
    """Return a node's attributes as Python values."""
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _weights(walk: Walk, name: str, node: NodeProto) -> WeightsForm:
    """Return a layer's weights, of at most 8 bits.

    Raises:
        UnsupportedOperationError: If they are not quantized, or to more bits.
    """
    form = walk.forms.get(name)
    if not isinstance(form, WeightsForm):
        raise UnsupportedOperationError(
            f"the weights of this {node.op_type} are real numbers",
            where=f"node {label(node)!r}, weights {name!r}",
            allowed="weights made by a Quant node of at most 8 bits",
            action="train with a weight quantizer (QuantConv1d, QuantLinear)",
        )
    largest = int(np.abs(form.integers).max(initial=0))
    if largest > 128:
        raise UnsupportedOperationError(
            f"weights reach {largest}",
            where=f"node {label(node)!r}",
            allowed="integers of at most 8 bits",
            action="train with weights of at most 8 bits",
        )
    return form


def _bias(walk: Walk, name: str, node: NodeProto, outputs: int) -> FloatArray:
    form = walk.forms.get(name)
    value = form.real if isinstance(form, WeightsForm) else walk.constants.value(name)
    if value is None or value.size not in (1, outputs):
        raise UnsupportedOperationError("the bias is not constant", where=f"node {label(node)!r}")
    return np.broadcast_to(value.astype(np.float64).reshape(-1), (outputs,))


def _line(values: Any, rank: int, node: NodeProto, neutral: int) -> int:
    """Return a kernel attribute along the length; along the height of 1 it must do nothing."""
    if values is None:
        return neutral
    if any(value != neutral for value in list(values)[:-1][: rank - 1]):
        raise UnsupportedOperationError(
            f"a kernel attribute {list(values)} along a height of 1",
            where=f"node {label(node)!r}",
            allowed="kernels of height 1",
        )
    return int(values[-1])


def _pads(given: dict[str, Any], rank: int, node: NodeProto) -> tuple[int, int]:
    """Return the zeros on the left and on the right."""
    auto = given.get("auto_pad", b"NOTSET")
    pads = list(given.get("pads", [0] * (2 * rank)))
    uneven = any(pads[axis] or pads[rank + axis] for axis in range(rank - 1))
    if auto not in (b"NOTSET", "NOTSET", b"VALID", "VALID") or uneven or min(pads) < 0:
        raise UnsupportedOperationError(
            f"padding {pads} with auto_pad {auto!r}",
            where=f"node {label(node)!r}",
            allowed="explicit padding along the length",
        )
    return int(pads[rank - 1]), int(pads[-1])


class Geometry(NamedTuple):
    """How a layer's taps lie over its input."""

    groups: int
    stride: int
    dilation: int
    pad: int
    length: int


def _pending(
    walk: Walk, node: NodeProto, source: LevelsForm, weights: WeightsForm, taps: IntArray, geometry: Geometry
) -> PendingForm:
    """Return the pending layer of a source, its weights as (outputs, inputs / groups, kernel) and its geometry."""
    outputs = taps.shape[0]
    scale = np.broadcast_to(weights.scale.reshape(-1), (outputs,))
    scales = np.stack([walk.builder.tensors[name].scale * scale for name in source.tensors])
    form = PendingForm(
        name=label(node),
        sources=source.tensors,
        weights=taps.astype(np.int64),
        scale=scales,
        offset=np.zeros(outputs),
        groups=geometry.groups,
        stride=geometry.stride,
        dilation=geometry.dilation,
        pad=geometry.pad,
        length=geometry.length,
    )
    if len(node.input) > 2 and node.input[2]:
        form = form.affine(1.0, _bias(walk, node.input[2], node, outputs))
    return form


def conv(walk: Walk, node: NodeProto) -> Form:
    """A convolution along the length, in one dimension or with a height of 1."""
    source, weights, given = walk.levels(node.input[0], node), _weights(walk, node.input[1], node), attributes(node)
    rank = weights.integers.ndim - 2
    taps = weights.integers.reshape(*weights.integers.shape[:2], -1)
    if rank > 1 and weights.integers.shape[2] != 1:
        raise UnsupportedOperationError(
            f"a kernel of shape {weights.integers.shape[2:]}", where=f"node {label(node)!r}", allowed="height 1"
        )
    stride, dilation = (_line(given.get(key), rank, node, 1) for key in ("strides", "dilations"))
    left, right = _pads(given, rank, node)
    groups = int(given.get("group", 1))
    length = (source.length + left + right - dilation * (taps.shape[2] - 1) - 1) // stride + 1
    if length < 1 or taps.shape[1] * groups != source.channels:
        raise UnsupportedOperationError(
            f"weights {taps.shape} in {groups} groups on {source.channels} channels of {source.length} values",
            where=f"node {label(node)!r}",
            allowed="as many channels as the weights read, and at least one output position",
        )
    return _pending(walk, node, source, weights, taps, Geometry(groups, stride, dilation, left, length))


def _dense(walk: Walk, node: NodeProto, matrix: WeightsForm) -> PendingForm:
    """Return a dense layer, its matrix (outputs, inputs), as a convolution as long as its input."""
    source = walk.levels(node.input[0], node)
    outputs, inputs = matrix.integers.shape
    if inputs != source.channels * source.length:
        raise UnsupportedOperationError(
            f"a dense layer of {inputs} inputs on {source.channels} x {source.length} values",
            where=f"node {label(node)!r}",
            allowed="all values of the tensor before it, flattened",
        )
    taps = matrix.integers.reshape(outputs, source.channels, source.length)
    return _pending(walk, node, source, matrix, taps, Geometry(1, 1, 1, 0, 1))


def gemm(walk: Walk, node: NodeProto) -> Form:
    """Alpha x W + beta b, the matrix transposed or not."""
    given = attributes(node)
    matrix = _weights(walk, node.input[1], node)
    if given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0 or given.get("transA", 0):
        return FloatForm(label(node), "a Gemm with alpha, beta or transA", "export the layer as nn.Linear")
    if not given.get("transB", 0):
        matrix = WeightsForm(matrix.integers.T, matrix.scale.T)
    return _dense(walk, node, matrix)


def matmul(walk: Walk, node: NodeProto) -> Form:
    """X W, with W (inputs, outputs)."""
    matrix = _weights(walk, node.input[1], node)
    return _dense(walk, node, WeightsForm(matrix.integers.T, matrix.scale.T))


def max_pool(walk: Walk, node: NodeProto) -> Form:
    """Largest value of a window, of integers or of what is pending."""
    given = attributes(node)
    rank = len(given["kernel_shape"])
    kernel, stride = _line(given["kernel_shape"], rank, node, 1), _line(given.get("strides"), rank, node, 1)
    left, right = _pads(given, rank, node)
    if given.get("ceil_mode", 0) or _line(given.get("dilations"), rank, node, 1) != 1:
        raise UnsupportedOperationError("a max pool with ceil_mode or dilation", where=f"node {label(node)!r}")
    return _pool(walk, node, kernel, stride, left, right)


def global_max_pool(walk: Walk, node: NodeProto) -> Form:
    """Largest value of a channel."""
    form = walk.form(node.input[0], node)
    length = form.pooled_length if isinstance(form, PendingForm) else walk.levels(node.input[0], node).length
    return _pool(walk, node, length, 1, 0, 0)


def _pool(walk: Walk, node: NodeProto, kernel: int, stride: int, left: int, right: int) -> Form:
    form = walk.form(node.input[0], node)
    if isinstance(form, LevelsForm) and len(form.tensors) > 1:  # the sum must exist before its largest is known
        form = walk.pending(node.input[0], node)
    before = form.pooled_length if isinstance(form, PendingForm) else walk.levels(node.input[0], node).length
    length = (before + left + right - kernel) // stride + 1
    if length < 1 or left >= kernel:
        raise UnsupportedOperationError(
            f"a max pool of {kernel} over {before} values", where=f"node {label(node)!r}", allowed=f"at most {before}"
        )
    pool = Pool(label(node), kernel, stride, left, length)
    if isinstance(form, PendingForm):
        return replace(form, pools=(*form.pools, pool))
    return walk.builder.pool(walk.levels(node.input[0], node), pool, node.output[0])


MAX_BITS = 8
_ROUNDINGS = ("ROUND", "HALF_EVEN")


def quant(walk: Walk, node: NodeProto) -> Form:
    """(clip(round(x / scale + zero), low, high) - zero) * scale, round half to even."""
    value = walk.constants.value(node.input[0])
    if value is not None:
        return _weight_levels(walk, node, value.astype(np.float32))
    form = walk.form(node.input[0], node)
    if isinstance(form, FloatForm | ShapeForm | WeightsForm):
        walk.levels(node.input[0], node)
    levels = _levels(walk, node)
    if isinstance(form, InputForm):
        if walk.quantizer is not None:
            raise UnsupportedOperationError(
                "the samples are quantized twice",
                where=f"node {label(node)!r}",
                allowed="one quantizer at the input",
                action="train with one shared input quantizer",
            )
        walk.quantizer = InputQuantizer(
            levels.scale, levels.zero, levels.low, levels.high, form.clip_low, form.clip_high
        )
        return walk.builder.add_input(form.channels, form.length, levels)
    return walk.builder.quantize(walk.pending(node.input[0], node), levels, node.output[0])


def _range(walk: Walk, node: NodeProto) -> tuple[int, int]:
    bits = int(as_scalar(walk.constants.value(node.input[3]), "bit width", node))
    stated = attributes(node)
    mode = stated.get("rounding_mode", b"ROUND").decode().upper()
    if mode not in _ROUNDINGS:
        raise UnsupportedOperationError(
            f"the rounding mode {mode!r}", where=f"node {label(node)!r}", allowed=", ".join(_ROUNDINGS)
        )
    return integer_range(bits, signed=bool(stated.get("signed", 1)), narrow=bool(stated.get("narrow", 0)))


def _levels(walk: Walk, node: NodeProto) -> Levels:
    """Return the integers of an activation quantizer."""
    scale = as_scalar(walk.constants.value(node.input[1]), "scale", node)
    zero = as_scalar(walk.constants.value(node.input[2]), "zero point", node)
    low, high = _range(walk, node)
    bits = (high - low).bit_length()
    if bits > MAX_BITS or bits < 1 or not scale > 0 or zero != round(zero):
        raise UnsupportedOperationError(
            f"a quantizer of {bits} bits, scale {scale} and zero point {zero}",
            where=f"node {label(node)!r}",
            allowed=f"activations of 1 to {MAX_BITS} bits, a positive scale and a whole zero point",
            action=f"train with activations of at most {MAX_BITS} bits",
        )
    levels = Levels(scale, int(zero), low, high)
    lowest, highest = low - int(zero), high - int(zero)
    if not (lowest >= -128 and highest <= 127) and not (lowest >= 0 and highest <= 255):
        raise UnsupportedOperationError(
            f"a quantizer whose integers reach from {lowest} to {highest}",
            where=f"node {label(node)!r}",
            allowed="-128 to 127 or 0 to 255 after the zero point is taken off",
        )
    return levels


def _weight_levels(walk: Walk, node: NodeProto, real: np.ndarray) -> Form:
    """Return constants as integers, worked out in float32 as the trained network does."""
    scale, zero = walk.constants.value(node.input[1]), walk.constants.value(node.input[2])
    if scale is None or zero is None:
        raise UnsupportedOperationError("the scale of weights is not constant", where=f"node {label(node)!r}")
    low, high = _range(walk, node)
    scale, zero = scale.astype(np.float32), zero.astype(np.float32)
    per_row = scale.size == 1 or scale.shape == (real.shape[0],) + (1,) * (real.ndim - 1)
    if scale.ndim == 1 and scale.size == real.shape[0] > 1:
        scale, per_row = scale.reshape((-1,) + (1,) * (real.ndim - 1)), True
    if not per_row:
        raise UnsupportedOperationError(
            f"weights of shape {real.shape} with scales of shape {scale.shape}",
            where=f"node {label(node)!r}",
            allowed="one scale, or one for each output channel",
        )
    integers = np.clip(np.rint(real / scale + zero), low, high) - zero
    scale64 = scale.astype(np.float64)
    return WeightsForm(np.rint(integers).astype(np.int64), scale64.reshape(()) if scale.size == 1 else scale64)
