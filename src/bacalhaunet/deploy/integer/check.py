"""Whether a program that was read from a file is one: kernels run from its tables, so nothing in it is taken on trust.

Shapes fit each other, every tensor is written before it is read, accumulators lie in the ranges that the weights prove
and values in those of their tensors. That the program computes what the file's graph does is not checked here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.interpreter import quantize_input
from bacalhaunet.deploy.integer.program import Conv, MaxPool, Program, Tensor, Thresholds, WideForm
from bacalhaunet.deploy.integer.ranges import accumulator_range, needed_channels, padded_taps

_INT32 = 2**31
_MOST_SHIFT = 62
_MOST_LENGTH = 1 << 24


def check_program(program: Program) -> None:
    """Check a program of unknown origin.

    Raises:
        ValueError: If a part of it does not fit the others.
    """
    try:
        with np.errstate(all="ignore"):  # numbers may be anything yet
            _check(program)
    except (AttributeError, KeyError, TypeError, IndexError, OverflowError, AssertionError) as error:
        raise ValueError(f"not an integer program: {type(error).__name__}: {error}") from error


def _require(condition: object, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _check(program: Program) -> None:
    for name, tensor in program.tensors.items():
        _require(tensor.name == name, f"tensor {name!r} is called {tensor.name!r}")
        _check_tensor(tensor)
    _check_input(program)
    written = {program.input}
    for number, layer in enumerate(program.layers):
        sources = layer.sources if isinstance(layer, Conv) else (layer.source,)
        _require(sources and set(sources) <= written, f"{layer.name}: reads what is not written yet")
        _require(layer.output not in written, f"{layer.name}: writes {layer.output!r} again")
        if isinstance(layer, Conv):
            _check_conv(layer, program.tensors, last=number == len(program.layers) - 1)
        else:
            _check_pool(layer, program.tensors[layer.source], program.tensors[layer.output])
        written.add(layer.output)
    _check_end(program)


def _check_tensor(tensor: Tensor) -> None:
    low, high = tensor.low, tensor.high
    _require(_whole(tensor.length, 1, _MOST_LENGTH), f"{tensor.name}: length {tensor.length}")
    _require(low.ndim == 1 and low.shape == high.shape and len(low), f"{tensor.name}: shapes of its range")
    _require(low.dtype == high.dtype == np.int64, f"{tensor.name}: types of its range")
    _require((low <= high).all(), f"{tensor.name}: an empty range")
    _require(
        all(_whole(one, -(2**62), 2**62) for one in (tensor.format_low, tensor.format_high))
        and tensor.format_low <= low.min()
        and high.max() <= tensor.format_high,
        f"{tensor.name}: a range beyond its format",
    )
    _require(_positive(tensor.scale), f"{tensor.name}: scale {tensor.scale}")


def _check_input(program: Program) -> None:
    quantizer, tensor = program.quantizer, program.tensors[program.input]
    _require(_positive(quantizer.scale) and quantizer.low <= quantizer.high, "the input quantizer")
    _require(-256 < tensor.format_low <= 0 <= tensor.format_high < 256, "the range of the input")
    ends = np.array([-3e38, 3e38], np.float32)
    values = quantize_input(quantizer, ends)
    _require(tensor.low.min() <= values[0] and values[1] <= tensor.high.max(), "the range of the input")
    _require((tensor.low == tensor.low[0]).all() and (tensor.high == tensor.high[0]).all(), "the range of the input")


def _check_conv(layer: Conv, tensors: Mapping[str, Tensor], *, last: bool) -> None:
    output, name = tensors[layer.output], layer.name
    sources = [tensors[one] for one in layer.sources]
    outputs, inputs, kernel = layer.weights[0].shape
    _require(len(layer.weights) == len(layer.group_of) == len(sources), f"{name}: numbers of sources")
    _require(outputs == output.channels and inputs > 0 and kernel > 0, f"{name}: shape of its weights")
    whole = _whole(layer.groups, 1, outputs) and _whole(layer.stride, 1, _MOST_LENGTH)
    whole = whole and _whole(layer.dilation, 1, _MOST_LENGTH) and _whole(layer.pad, 0, _MOST_LENGTH)
    _require(whole and outputs % layer.groups == 0, f"{name}: groups, stride, dilation or pad")
    groups = sorted(set(layer.group_of))
    _require(groups == list(range(len(groups))), f"{name}: accumulators {layer.group_of}")
    length = sources[0].length
    for tensor, weights in zip(sources, layer.weights, strict=True):
        _require(weights.shape == layer.weights[0].shape and weights.dtype == np.int64, f"{name}: weights")
        _require(np.abs(weights).max(initial=0) < _INT32, f"{name}: weights beyond 32 bits")
        _require((tensor.channels, tensor.length) == (inputs * layer.groups, length), f"{name}: shape of a source")
    _require(layer.stride * (output.length - 1) - layer.pad < length, f"{name}: length of its output")
    padded = padded_taps(kernel, layer.stride, layer.dilation, layer.pad, length, output.length)
    low, high = accumulator_range(layer.weights, layer.group_of, sources, layer.groups, padded)
    _require(np.array_equal(low, layer.acc_low) and np.array_equal(high, layer.acc_high), f"{name}: accumulators")
    _require(max(-int(low.min()), int(high.max())) < _INT32, f"{name}: accumulators beyond 32 bits")
    _require(layer.computed.shape == (outputs,) and layer.computed.dtype == np.bool_, f"{name}: channels computed")
    _check_affine(layer, outputs)
    if isinstance(layer.requantizer, Thresholds):
        _check_thresholds(layer, layer.requantizer, output)
    else:
        _check_wide(layer, layer.requantizer, output, last=last)


def _check_affine(layer: Conv, outputs: int) -> None:
    affine = layer.affine
    fits = affine.scale.shape == (layer.accumulators, outputs) and affine.offset.shape == (outputs,)
    _require(fits, f"{layer.name}: shapes of its real function")
    _require(np.isfinite(affine.scale).all() and np.isfinite(affine.offset).all(), f"{layer.name}: its real function")
    _require(affine.floor <= affine.ceiling, f"{layer.name}: levels {affine.floor} to {affine.ceiling}")


def _check_thresholds(layer: Conv, form: Thresholds, output: Tensor) -> None:
    floor, ceiling, outputs = layer.affine.floor, layer.affine.ceiling, output.channels
    _require(layer.accumulators == 1 and form.base == floor, f"{layer.name}: thresholds")
    _require(form.values.shape == (outputs, ceiling - floor), f"{layer.name}: shape of its thresholds")
    _require((np.diff(form.values, axis=1) >= 0).all(), f"{layer.name}: thresholds that fall")
    linear = form.linear
    arrays = (*linear.fields, linear.exact, linear.narrow)
    _require(all(one.shape == (outputs,) for one in arrays), f"{layer.name}: its linear form")
    shifts = (linear.shift >= 0).all() and (linear.shift <= _MOST_SHIFT).all()
    _require(shifts and (linear.multiplier >= 0).all(), f"{layer.name}: its linear form")
    for channel, row in enumerate(form.values):
        ends = np.array([layer.acc_low[0, channel], layer.acc_high[0, channel]])
        low, high = form.base + np.searchsorted(row, ends, side="right")
        inside = output.low[channel] <= low and high <= output.high[channel]
        _require(inside, f"{layer.name}: values beyond the range of channel {channel}")


def _check_wide(layer: Conv, form: WideForm, output: Tensor, *, last: bool) -> None:
    fits = form.multiplier.shape == (layer.accumulators, output.channels) and form.offset.shape == (output.channels,)
    _require(fits and _whole(form.shift, 0, _MOST_SHIFT), f"{layer.name}: its 64-bit form")
    ends = np.maximum(np.abs(layer.acc_low), np.abs(layer.acc_high)).astype(object)
    reach = (np.abs(form.multiplier.astype(object)) * ends).sum(axis=0) + np.abs(form.offset.astype(object))
    _require(max(reach) < 2**63, f"{layer.name}: numbers beyond 64 bits")
    if form.low is None or form.high is None:
        _require(last and form.low is form.high is None, f"{layer.name}: values without a bound")
        return
    _require(
        output.format_low <= form.low <= form.high <= output.format_high, f"{layer.name}: values beyond their format"
    )


def _check_pool(layer: MaxPool, source: Tensor, output: Tensor) -> None:
    whole = _whole(layer.kernel, 1, _MOST_LENGTH) and _whole(layer.stride, 1, _MOST_LENGTH)
    _require(whole and _whole(layer.pad, 0, layer.kernel - 1), f"{layer.name}: kernel, stride or pad")
    _require(layer.stride * (output.length - 1) - layer.pad < source.length, f"{layer.name}: length of its output")
    _require(source.channels == output.channels, f"{layer.name}: channels")
    inside = (output.low <= source.low).all() and (source.high <= output.high).all()
    _require(inside, f"{layer.name}: values beyond their range")


def _check_end(program: Program) -> None:
    last = program.layers[-1]
    _require(isinstance(last, Conv) and program.tensors[last.output].length == 1, "the last layer gives no logits")
    _require(_positive(program.logit_scale), f"the scale of the logits, {program.logit_scale}")
    named = len(program.labels) == program.classes and all(isinstance(one, str) for one in program.labels)
    _require(named, f"{len(program.labels)} labels")
    needed: Mapping[str, NDArray[np.bool_]] = needed_channels(program.layers, program.tensors)
    for layer in program.layers:
        if isinstance(layer, Conv):
            left_out = needed[layer.output] & ~layer.computed
            constant = program.tensors[layer.output].constant
            _require(constant[left_out].all(), f"{layer.name}: a channel that is needed is not computed")


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _positive(value: float) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value > 0
