"""Quantizer nodes: of the samples, of weights, and of what a layer computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.deploy.integer.builder import Levels
from bacalhaunet.deploy.integer.forms import FloatForm, Form, InputForm, ShapeForm, WeightsForm
from bacalhaunet.deploy.integer.lowering import Walk, as_scalar, label
from bacalhaunet.deploy.integer.program import InputQuantizer
from bacalhaunet.deploy.onnx_lowering import integer_range
from bacalhaunet.errors import UnsupportedOperationError

if TYPE_CHECKING:
    from onnx import NodeProto

MAX_BITS = 8
_ROUNDINGS = ("ROUND", "HALF_EVEN")


def quant(walk: Walk, node: NodeProto) -> Form:
    """(clip(round(x / scale + zero), low, high) - zero) * scale, round half to even."""
    value = walk.constants.value(node.input[0])
    if value is not None:
        return _weights(walk, node, value.astype(np.float32))
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


def _attribute(node: NodeProto, name: str, default: int | str) -> int | str:
    from onnx import helper

    found = next((a for a in node.attribute if a.name == name), None)
    value = default if found is None else helper.get_attribute_value(found)
    return value.decode() if isinstance(value, bytes) else value


def _range(walk: Walk, node: NodeProto) -> tuple[int, int]:
    bits = int(as_scalar(walk.constants.value(node.input[3]), "bit width", node))
    mode = str(_attribute(node, "rounding_mode", "ROUND")).upper()
    if mode not in _ROUNDINGS:
        raise UnsupportedOperationError(
            f"the rounding mode {mode!r}", where=f"node {label(node)!r}", allowed=", ".join(_ROUNDINGS)
        )
    return integer_range(bits, signed=bool(_attribute(node, "signed", 1)), narrow=bool(_attribute(node, "narrow", 0)))


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


def _weights(walk: Walk, node: NodeProto, real: np.ndarray) -> Form:
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
