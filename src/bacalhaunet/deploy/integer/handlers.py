"""What each ONNX operation does to the symbolic forms; a new operation is a function and a row of ``HANDLERS``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.deploy.integer.builder import (
    FloatForm,
    Form,
    InputForm,
    PendingForm,
    ShapeForm,
    WeightsForm,
)
from bacalhaunet.deploy.integer.layer_handlers import attributes, conv, gemm, global_max_pool, matmul, max_pool, quant
from bacalhaunet.deploy.integer.lowering import Handler, Walk, as_scalar, label
from bacalhaunet.errors import UnsupportedOperationError

if TYPE_CHECKING:
    from onnx import NodeProto

    from bacalhaunet.deploy.integer.program import FloatArray


def per_channel(walk: Walk, name: str, node: NodeProto, channels: int) -> FloatArray:
    """Return a constant operand as one number a channel: a scalar, (C,), (C, 1), (1, C, 1) ...

    Raises:
        UnsupportedOperationError: If it differs along another axis or is not constant.
    """
    form = walk.forms.get(name)
    value = form.real if isinstance(form, WeightsForm) else walk.constants.value(name)
    if value is None or value.size not in (1, channels):
        found = "depends on the input" if value is None else f"has shape {value.shape}"
        raise UnsupportedOperationError(
            f"an operand of {node.op_type} {found}",
            where=f"node {label(node)!r}",
            allowed=f"constants: one number, or one for each of {channels} channels",
        )
    return np.broadcast_to(value.astype(np.float64).reshape(-1), (channels,))


def _scaled(walk: Walk, node: NodeProto, form: PendingForm, factor: FloatArray, shift: FloatArray) -> Form:
    if form.clipped or (form.pools and np.any(factor <= 0)):
        return FloatForm(
            label(node),
            f"{node.op_type} comes after the clip or pool of {form.name!r}",
            "put the quantizer right after the ReLU, or the normalization before it",
        )
    return form.affine(factor, shift)


def batch_norm(walk: Walk, node: NodeProto) -> Form:
    """Y gamma / sqrt(variance + epsilon) + beta - mean gamma / sqrt(variance + epsilon)."""
    form = walk.pending(node.input[0], node)
    gamma, beta, mean, variance = (per_channel(walk, name, node, form.channels) for name in node.input[1:5])
    factor = gamma / np.sqrt(variance + float(attributes(node).get("epsilon", 1e-5)))
    return _scaled(walk, node, form, factor, beta - mean * factor)


def _sides(walk: Walk, node: NodeProto) -> tuple[str, str | None]:
    """Return the operand that is the signal, and the constant one; None if both are signals."""
    first, second = node.input[:2]
    signals = [walk.is_signal(n) and not isinstance(walk.forms[n], WeightsForm) for n in (first, second)]
    if all(signals):
        return first, None
    return (first, second) if signals[0] else (second, first)


def add(walk: Walk, node: NodeProto) -> Form:
    """Sum of two quantized tensors, or a constant a channel added to a pending layer."""
    signal, constant = _sides(walk, node)
    if constant is not None:
        form = walk.pending(signal, node)
        sign = -1.0 if node.op_type == "Sub" else 1.0
        factor = np.full(form.channels, -1.0 if sign < 0 and signal == node.input[1] else 1.0)
        shift = per_channel(walk, constant, node, form.channels) * (sign if signal == node.input[0] else 1.0)
        return _scaled(walk, node, form, factor, shift)
    if node.op_type == "Sub":
        return FloatForm(label(node), "a difference of two tensors", "use a sum, with the signs in the weights")
    first, second = walk.levels(node.input[0], node), walk.levels(node.input[1], node)
    if (first.channels, first.length) != (second.channels, second.length):
        raise UnsupportedOperationError(
            f"a sum of {first.channels} x {first.length} and {second.channels} x {second.length} values",
            where=f"node {label(node)!r}",
            allowed="tensors of one shape",
        )
    return replace(first, tensors=first.tensors + second.tensors)


def multiply(walk: Walk, node: NodeProto) -> Form:
    """A constant a channel times a pending layer, or divided by one."""
    signal, constant = _sides(walk, node)
    if constant is None or (node.op_type == "Div" and signal == node.input[1]):
        return FloatForm(label(node), f"{node.op_type} by the signal itself", "use layers that are linear")
    form = walk.pending(signal, node)
    factor = per_channel(walk, constant, node, form.channels)
    return _scaled(walk, node, form, 1.0 / factor if node.op_type == "Div" else factor, np.zeros(form.channels))


def relu(walk: Walk, node: NodeProto) -> Form:
    """max(y, 0)."""
    return walk.pending(node.input[0], node).clip(0.0, np.inf)


def clip(walk: Walk, node: NodeProto) -> Form:
    """min(max(y, low), high), of samples too. Max and Min with a constant are halves of it."""
    low, high = -np.inf, np.inf
    if node.op_type == "Clip":
        given = attributes(node)
        low, high = float(given.get("min", low)), float(given.get("max", high))
        bounds = [walk.constants.value(name) if name else None for name in list(node.input[1:3])]
        named = [bool(name) for name in node.input[1:3]]
        if len(named) > 0 and named[0]:
            low = as_scalar(bounds[0], "lower bound", node)
        if len(named) > 1 and named[1]:
            high = as_scalar(bounds[1], "upper bound", node)
        signal = node.input[0]
    else:
        signal, constant = _sides(walk, node)
        bound = as_scalar(walk.constants.value(constant) if constant else None, "bound", node)
        low, high = (bound, high) if node.op_type == "Max" else (low, bound)
    form = walk.form(signal, node)
    if isinstance(form, InputForm):
        return replace(form, clip_low=max(form.clip_low, low), clip_high=min(form.clip_high, high))
    return walk.pending(signal, node).clip(low, high)


def same(walk: Walk, node: NodeProto) -> Form:
    """An operation that changes nothing, or only adds or drops axes of size 1."""
    return walk.form(node.input[0], node)


def transpose(walk: Walk, node: NodeProto) -> Form:
    """Axes of quantized weights in another order."""
    form = walk.form(node.input[0], node)
    if not isinstance(form, WeightsForm):
        return FloatForm(label(node), "a transposed signal", "keep the axes (batch, channels, length)")
    order = attributes(node).get("perm", list(range(form.integers.ndim))[::-1])
    scale = form.scale if form.scale.ndim == 0 else form.scale.transpose(order)
    return WeightsForm(form.integers.transpose(order), scale)


def shape(walk: Walk, node: NodeProto) -> Form:
    """Sizes, on their way to a reshape."""
    return ShapeForm()


def reshape(walk: Walk, node: NodeProto) -> Form:
    """A flatten, or axes of size 1 coming and going; both leave the order of the values as it is."""
    form = walk.form(node.input[0], node)
    target = walk.constants.value(node.input[1]) if len(node.input) > 1 else None
    if isinstance(form, WeightsForm) and target is not None:
        return WeightsForm(form.integers.reshape(tuple(target)), form.scale.reshape(()))
    return form


def concat(walk: Walk, node: NodeProto) -> Form:
    """Only of shapes: a concatenated signal has no integer form here."""
    forms = [walk.forms[name] for name in node.input if walk.is_signal(name)]
    if all(isinstance(form, ShapeForm) for form in forms):
        return ShapeForm()
    inner = next((form for form in forms if isinstance(form, PendingForm)), None)
    if inner is not None:
        reason = f"it concatenates {inner.name!r}, which no quantizer follows"
        return FloatForm(label(node), reason, "quantize every branch with one shared quantizer before the Concat")
    return FloatForm(label(node), "it concatenates tensors", "use one convolution with more channels")


def lookup(walk: Walk, node: NodeProto) -> Form:
    """Gather and its like, of shapes only."""
    form = walk.form(node.input[0], node)
    if isinstance(form, ShapeForm):
        return form
    return FloatForm(label(node), f"{node.op_type} of the signal", "use convolutions with strides")


HANDLERS: dict[str, Handler] = {
    "Quant": quant,
    "IntQuant": quant,
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": batch_norm,
    "Add": add,
    "Sub": add,
    "Mul": multiply,
    "Div": multiply,
    "Relu": relu,
    "Clip": clip,
    "Max": clip,
    "Min": clip,
    "MaxPool": max_pool,
    "GlobalMaxPool": global_max_pool,
    "Flatten": same,
    "Identity": same,
    "Dropout": same,
    "Squeeze": same,
    "Unsqueeze": same,
    "Reshape": reshape,
    "Transpose": transpose,
    "Shape": shape,
    "Concat": concat,
    "Gather": lookup,
    "Slice": lookup,
    "Cast": lookup,
}
"""The operations that can be lowered."""
