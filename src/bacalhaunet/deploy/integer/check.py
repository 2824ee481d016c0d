"""Whether a program that was read from a file is one: kernels run from its tables, so nothing in it is taken on trust.

Shapes fit each other, every tensor is written before it is read, values lie in the ranges of their tensors, and
sum |w| 255 < 2^31 for each output, so that sums of bytes fit 32 bits whatever these are. What passes gives in every
engine what the interpreter gives. That this is what the file's graph computes is not checked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.check_forms import check_affine, check_thresholds, check_wide
from bacalhaunet.deploy.integer.claims import positive, require, whole
from bacalhaunet.deploy.integer.program import Conv, InputQuantizer, MaxPool, Program, Tensor, Thresholds
from bacalhaunet.deploy.integer.ranges import accumulator_range, needed_channels, padded_taps

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
