"""Whether a program that was read from a file is one: kernels run from its tables, so nothing in it is taken on trust.

Shapes fit each other, every tensor is written before it is read, values lie in the ranges of their tensors, and
sum |w| 255 < 2^31 for each output, so that sums of bytes fit 32 bits whatever these are. What passes gives in every
engine what the interpreter gives. That this is what the file's graph computes is not checked.

What a check of a program of unknown origin asks of single values.

Whether the requantizers of a program that was read from a file are what they claim to be.

Linear forms equal their thresholds on every reachable accumulator, 64-bit forms stay in 64 bits, and the values of
either lie in the range of the tensor they are written to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.program import (
    Conv,
    InputQuantizer,
    LinearForm,
    MaxPool,
    Program,
    Tensor,
    Thresholds,
    WideForm,
    accumulator_range,
    needed_channels,
    padded_taps,
)
from bacalhaunet.deploy.integer.thresholds import LOW_BITS, fits_32_bits, offset_interval, wide_range


def require(condition: object, what: str) -> None:
    """Go on if a condition holds.

    Raises:
        ValueError: If it does not.
    """
    if not condition:
        raise ValueError(what)


def whole(value: object, low: int, high: int) -> bool:
    """Return whether a value is an integer, and no truth value, from ``low`` to ``high``."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def positive(value: object) -> bool:
    """Return whether a value is a finite real number above 0."""
    return isinstance(value, float) and math.isfinite(value) and value > 0


_MOST_SHIFT = 45
_MOST_MULTIPLIER = 2**31
_MOST_SUM = 2**62
_MOST_LEVEL = 2.0**30
"""Real levels, before they are clipped, are rounded to 32 bits by some kernels."""


def check_affine(layer: Conv, output: Tensor, *, last: bool) -> None:
    """Check the real function of a layer, which the forms of an engine are searched by.

    Raises:
        ValueError: If shapes, numbers or levels do not fit.
    """
    affine, name = layer.affine, layer.name
    fits = affine.scale.shape == (layer.accumulators, output.channels) and affine.offset.shape == (output.channels,)
    require(fits, f"{name}: shapes of its real function")
    require(np.isfinite(affine.scale).all() and np.isfinite(affine.offset).all(), f"{name}: its real function")
    levels = whole(affine.floor, -(2**31), 2**31) and whole(affine.ceiling, affine.floor, 2**31)
    inside = levels and output.format_low <= affine.floor and affine.ceiling <= output.format_high
    require(inside or (levels and last), f"{name}: levels {affine.floor} to {affine.ceiling}")


def check_thresholds(layer: Conv, form: Thresholds, output: Tensor) -> None:
    """Check a requantizer of one accumulator; its thresholds were found by the real function.

    Raises:
        ValueError: If shapes do not fit, it can decrease, a value is out of range or the linear form is another.
    """
    affine, name, channels = layer.affine, layer.name, np.arange(output.channels)
    require(layer.accumulators == 1 and (affine.scale >= 0).all(), f"{name}: a requantizer that can decrease")
    require(whole(form.base, affine.floor, affine.floor), f"{name}: base {form.base}")
    reach = affine.scale[0] * np.maximum(np.abs(layer.acc_low[0]), np.abs(layer.acc_high[0])) + np.abs(affine.offset)
    require((reach < _MOST_LEVEL).all(), f"{name}: levels beyond 32 bits")
    require(form.values.shape == (output.channels, affine.ceiling - affine.floor), f"{name}: shape of its thresholds")
    require((np.diff(form.values, axis=1) >= 0).all(), f"{name}: thresholds that fall")
    low, high = (form.base + (form.values <= ends[channels, None]).sum(axis=1) for ends in _ends(layer))
    inside = (output.low <= low).all() and (high <= output.high).all()
    require(inside, f"{name}: values beyond their range")
    _check_linear(layer, form, form.linear)


def _ends(layer: Conv) -> tuple[np.ndarray, np.ndarray]:
    return layer.acc_low[0], layer.acc_high[0]


def _check_linear(layer: Conv, thresholds: Thresholds, form: LinearForm) -> None:
    name, shape = layer.name, layer.acc_low[0].shape
    require(all(one.shape == shape for one in (*form.fields, form.exact, form.narrow)), f"{name}: its linear form")
    require(form.exact.dtype == form.narrow.dtype == np.bool_, f"{name}: its linear form")
    require((form.shift >= 0).all() and (form.shift <= _MOST_SHIFT).all(), f"{name}: shifts of its linear form")
    require((form.multiplier >= 0).all() and (form.multiplier < _MOST_MULTIPLIER).all(), f"{name}: multipliers")
    require((form.offset > -_MOST_SUM).all() and (form.offset < _MOST_SUM).all(), f"{name}: offsets")
    narrow = fits_32_bits(form.multiplier, form.offset, *_ends(layer))
    require((form.exact | ~form.narrow).all() and narrow[form.narrow].all(), f"{name}: a linear form beyond 32 bits")
    for shift in np.unique(form.shift[form.exact]):
        at = np.flatnonzero(form.exact & (form.shift == shift))
        low, high = (one[at] for one in _ends(layer))
        tried = form.multiplier[at][None]
        smallest, largest = offset_interval(thresholds.values[at], thresholds.base, low, high, tried, int(shift))
        equal = (smallest[0] <= form.offset[at]) & (form.offset[at] <= largest[0])
        require(equal.all(), f"{name}: a linear form that is not its thresholds")


def check_wide(layer: Conv, form: WideForm, output: Tensor, *, last: bool) -> None:
    """Check a requantizer with long multipliers.

    Raises:
        ValueError: If shapes do not fit, its numbers leave 64 bits, or a value is out of range.
    """
    name, affine = layer.name, layer.affine
    fits = form.multiplier.shape == layer.acc_low.shape and form.offset.shape == (output.channels,)
    require(fits, f"{name}: shapes of its 64-bit form")
    ends = np.maximum(np.abs(layer.acc_low), np.abs(layer.acc_high)).astype(object)
    multiplier, offset = (np.abs(one.astype(object)) for one in (form.multiplier, form.offset))
    sums = (multiplier * ends).sum(axis=0) + offset
    require(multiplier.max() < _MOST_MULTIPLIER and max(sums) < _MOST_SUM, f"{name}: numbers beyond 64 bits")
    if last:
        require(form.low is None and form.high is None and whole(form.shift, 0, _MOST_SHIFT), f"{name}: its logits")
    else:
        levels = whole(form.low, affine.floor, affine.floor) and whole(form.high, affine.ceiling, affine.ceiling)
        require(levels and whole(form.shift, LOW_BITS, _MOST_SHIFT), f"{name}: levels or shift")
    low, high = wide_range(form, layer.acc_low, layer.acc_high)
    inside = (output.low <= low).all() and (high <= output.high).all()
    require(inside, f"{name}: values beyond their range")


_INT32 = 2**31
_MOST_LENGTH = 1 << 24
_MOST_ROOM = 1 << 26
"""Offsets in an engine's memory are numbers of 32 bits; what it takes is less than 32 times the room counted here."""
_LINE = 192
"""Bytes that a row may take more than its values."""


def check_program(program: Program) -> None:
    """Check a program of unknown origin.

    Raises:
        ValueError: If a part of it does not fit the others.
    """
    try:
        with np.errstate(all="ignore"):  # numbers may be anything yet
            _check(program)
    except (AttributeError, KeyError, TypeError, IndexError, ArithmeticError, AssertionError) as error:
        raise ValueError(f"not an integer program: {type(error).__name__}: {error}") from error


def _check(program: Program) -> None:
    last = program.layers[-1]
    for name, tensor in program.tensors.items():
        require(tensor.name == name, f"tensor {name!r} is called {tensor.name!r}")
        _check_tensor(tensor, last=name == last.output)
    _check_input(program.quantizer, program.tensors[program.input])
    written = {program.input}
    for layer in program.layers:
        sources = layer.sources if isinstance(layer, Conv) else (layer.source,)
        require(sources and set(sources) <= written, f"{layer.name}: reads what is not written yet")
        require(layer.output not in written, f"{layer.name}: writes {layer.output!r} again")
        require(len(set(sources)) == len(sources), f"{layer.name}: reads a tensor twice")
        if isinstance(layer, Conv):
            _check_conv(layer, program.tensors, last=layer is last)
        else:
            _check_pool(layer, program.tensors[layer.source], program.tensors[layer.output])
        written.add(layer.output)
    _check_end(program)
    _check_room(program)


def _check_tensor(tensor: Tensor, *, last: bool) -> None:
    low, high = tensor.low, tensor.high
    require(whole(tensor.length, 1, _MOST_LENGTH), f"{tensor.name}: length {tensor.length}")
    require(low.ndim == 1 and low.shape == high.shape and len(low), f"{tensor.name}: shapes of its range")
    require(low.dtype == high.dtype == np.int64, f"{tensor.name}: types of its range")
    require((low <= high).all(), f"{tensor.name}: an empty range")
    lowest, highest = (-_INT32, _INT32 - 1) if last else (-128, 255)
    format_ = whole(tensor.format_low, lowest, 0) and whole(tensor.format_high, 0, highest)
    require(format_ and (last or tensor.format_high - tensor.format_low < 256), f"{tensor.name}: its format")
    inside = tensor.format_low <= low.min() and high.max() <= tensor.format_high
    require(inside, f"{tensor.name}: a range beyond its format")
    require(positive(tensor.scale), f"{tensor.name}: scale {tensor.scale}")


def _check_input(quantizer: InputQuantizer, tensor: Tensor) -> None:
    integers = all(whole(one, -_INT32, _INT32) for one in (quantizer.zero, quantizer.low, quantizer.high))
    require(integers and quantizer.low <= quantizer.high, "the levels of the input quantizer")
    single = float(np.float32(quantizer.scale))
    clips = quantizer.clip_low, quantizer.clip_high
    real = all(isinstance(one, float) for one in clips)
    require(positive(single) and real and clips[0] <= clips[1], "the scale or clip of the input quantizer")
    low, high = quantizer.low - quantizer.zero, quantizer.high - quantizer.zero
    require((tensor.format_low, tensor.format_high) == (low, high), "the format of the input")
    require(tensor.channels == 2 and (tensor.low == low).all() and (tensor.high == high).all(), "the input's range")


def _check_conv(layer: Conv, tensors: Mapping[str, Tensor], *, last: bool) -> None:
    output, name = tensors[layer.output], layer.name
    sources = [tensors[one] for one in layer.sources]
    outputs, inputs, kernel = layer.weights[0].shape
    require(len(layer.weights) == len(layer.group_of) == len(sources), f"{name}: numbers of sources")
    require(outputs == output.channels and inputs > 0 and kernel > 0, f"{name}: shape of its weights")
    integers = whole(layer.groups, 1, outputs) and whole(layer.stride, 1, _MOST_LENGTH)
    integers = integers and whole(layer.dilation, 1, _MOST_LENGTH) and whole(layer.pad, 0, _MOST_LENGTH)
    require(integers and outputs % layer.groups == 0, f"{name}: groups, stride, dilation or pad")
    groups = sorted(set(layer.group_of))
    integers = all(whole(one, 0, len(sources)) for one in layer.group_of)
    require(integers and groups == list(range(len(groups))), f"{name}: accumulators {layer.group_of}")
    length = sources[0].length
    for tensor, weights in zip(sources, layer.weights, strict=True):
        require(weights.shape == layer.weights[0].shape and weights.dtype == np.int64, f"{name}: weights")
        require(weights.min() > -_INT32 and weights.max() < _INT32, f"{name}: weights beyond 32 bits")
        require((tensor.channels, tensor.length) == (inputs * layer.groups, length), f"{name}: shape of a source")
    heaviest = sum(np.abs(weights).sum(axis=(1, 2)) for weights in layer.weights)
    require(np.max(heaviest) * 255 < _INT32, f"{name}: sums beyond 32 bits")
    require(layer.stride * (output.length - 1) - layer.pad < length, f"{name}: length of its output")
    padded = padded_taps(kernel, layer.stride, layer.dilation, layer.pad, length, output.length)
    low, high = accumulator_range(layer.weights, layer.group_of, sources, layer.groups, padded)
    require(np.array_equal(low, layer.acc_low) and np.array_equal(high, layer.acc_high), f"{name}: accumulators")
    check_affine(layer, output, last=last)
    if isinstance(layer.requantizer, Thresholds):
        require(not last, f"{name}: logits that are rounded to levels")
        check_thresholds(layer, layer.requantizer, output)
    else:
        check_wide(layer, layer.requantizer, output, last=last)


def _check_pool(layer: MaxPool, source: Tensor, output: Tensor) -> None:
    integers = whole(layer.kernel, 1, _MOST_LENGTH) and whole(layer.stride, 1, _MOST_LENGTH)
    require(integers and whole(layer.pad, 0, layer.kernel - 1), f"{layer.name}: kernel, stride or pad")
    require(layer.stride * (output.length - 1) - layer.pad < source.length, f"{layer.name}: length of its output")
    require(source.channels == output.channels, f"{layer.name}: channels")
    inside = (output.low <= source.low).all() and (source.high <= output.high).all()
    require(inside, f"{layer.name}: values beyond their range")


def _check_end(program: Program) -> None:
    last = program.layers[-1]
    require(isinstance(last, Conv) and program.tensors[last.output].length == 1, "the last layer gives no logits")
    require(positive(program.logit_scale), f"the scale of the logits, {program.logit_scale}")
    named = len(program.labels) == program.classes and all(isinstance(one, str) for one in program.labels)
    require(named, f"{len(program.labels)} labels")
    needed: Mapping[str, NDArray[np.bool_]] = needed_channels(program.layers, program.tensors)
    for layer in program.layers:
        if isinstance(layer, Conv):
            changing = ~program.tensors[layer.output].constant & needed[layer.output]
            same = layer.computed.dtype == np.bool_ and np.array_equal(layer.computed, changing)
            require(same, f"{layer.name}: what is computed is not what is needed")


def _check_room(program: Program) -> None:
    room = sum(tensor.channels * (tensor.length + _LINE) for tensor in program.tensors.values())
    for layer in program.layers:
        if isinstance(layer, Conv):
            room += _room(layer, program.tensors)
    require(room < _MOST_ROOM, f"an engine would need room for {room} values")


def _room(layer: Conv, tensors: Mapping[str, Tensor]) -> int:
    """Return how many values the margins around a layer's sources and the planes made of these may take."""
    outputs, length = tensors[layer.output].length, sum(tensors[name].channels for name in layer.sources)
    reach = layer.pad + layer.stride * (outputs - 1) + layer.dilation * (layer.kernel - 1) + _LINE
    room = length * (reach + min(layer.stride, layer.kernel) * (outputs + _LINE))
    if layer.kernel > 1:
        return room
    pairs = min(math.comb(length + 1, 2), sum(int(np.count_nonzero(weights)) for weights in layer.weights))
    return room + pairs * (outputs + _LINE)
