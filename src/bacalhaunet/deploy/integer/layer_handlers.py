"""Layers that sum taps, and pools."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bacalhaunet.deploy.integer.forms import FloatForm, Form, LevelsForm, PendingForm, Pool, WeightsForm
from bacalhaunet.deploy.integer.lowering import Walk, label
from bacalhaunet.deploy.integer.program import FloatArray, IntArray
from bacalhaunet.errors import UnsupportedOperationError

if TYPE_CHECKING:
    from onnx import NodeProto


def _attributes(node: NodeProto) -> dict[str, Any]:
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
    source, weights, given = walk.levels(node.input[0], node), _weights(walk, node.input[1], node), _attributes(node)
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
    given = _attributes(node)
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
    given = _attributes(node)
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
    if isinstance(form, PendingForm):
        pool = Pool(label(node), kernel, stride, left, length)
        return replace(form, pools=(*form.pools, pool))
    return walk.builder.pool(
        walk.levels(node.input[0], node), label(node), kernel, stride, left, length, node.output[0]
    )
