"""The reference: a program run in NumPy as its definition reads, in exact arithmetic.

Convolutions are sums of float64 products of integers, all below 2^53 and so exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.program import Conv, InputQuantizer, IntArray, MaxPool, Program, Thresholds
from bacalhaunet.deploy.integer.thresholds import apply_wide

_TABLE_LIMIT = 1 << 18
"""Accumulator ranges up to this size are looked up in a table, larger ones searched in the thresholds."""


def quantize_input(quantizer: InputQuantizer, frames: NDArray[np.float32]) -> IntArray:
    """Return the integers of real samples, in float32 arithmetic as the trained network rounds them."""
    x = np.asarray(frames, np.float32)
    if np.isfinite(quantizer.clip_low) or np.isfinite(quantizer.clip_high):
        x = np.clip(x, np.float32(quantizer.clip_low), np.float32(quantizer.clip_high))
    level = np.rint(x / np.float32(quantizer.scale) + np.float32(quantizer.zero))
    return np.asarray(np.clip(level, quantizer.low, quantizer.high).astype(np.int64) - quantizer.zero)


def accumulate(layer: Conv, values: dict[str, IntArray], length: int) -> IntArray:
    """Return the accumulators (accumulators, frames, outputs, length) of a layer."""
    frames = len(values[layer.sources[0]])
    acc = np.zeros((layer.accumulators, frames, layer.weights[0].shape[0], length))
    for name, group, weights in zip(layer.sources, layer.group_of, layer.weights, strict=True):
        x = _padded(values[name].astype(np.float64), layer, length)
        for tap in range(layer.kernel):
            start = tap * layer.dilation
            window = x[:, :, start : start + layer.stride * (length - 1) + 1 : layer.stride]
            acc[group] += _tap(weights[:, :, tap].astype(np.float64), window, layer.groups)
    return acc.astype(np.int64)


def _padded(x: NDArray[np.float64], layer: Conv, length: int) -> NDArray[np.float64]:
    """Return x with the zeros a layer's taps reach."""
    reach = layer.stride * (length - 1) + layer.dilation * (layer.kernel - 1) + 1
    right = max(0, reach - layer.pad - x.shape[2])
    return np.pad(x, ((0, 0), (0, 0), (layer.pad, right)))


def _tap(weights: NDArray[np.float64], window: NDArray[np.float64], groups: int) -> NDArray[Any]:
    """Return one tap's contribution (frames, outputs, length)."""
    outputs, inputs = weights.shape
    if inputs == 1 and groups == outputs:
        return window * weights[None]
    frames, _, length = window.shape
    grouped = window.reshape(frames, groups, inputs, length)
    return np.asarray(weights.reshape(groups, outputs // groups, inputs) @ grouped).reshape(frames, outputs, length)


def requantize(layer: Conv, acc: IntArray) -> IntArray:
    """Return the output integers (frames, outputs, length) of accumulators (accumulators, frames, outputs, length)."""
    channels_first = np.moveaxis(acc, 2, 1)
    form = layer.requantizer
    if isinstance(form, Thresholds):
        value = _by_thresholds(form, channels_first[0], layer.acc_low[0], layer.acc_high[0])
    else:
        value = apply_wide(form, channels_first)
    return np.moveaxis(value, 0, 1)


def _by_thresholds(form: Thresholds, acc: IntArray, low: IntArray, high: IntArray) -> IntArray:
    """Return values (channels, ...) of accumulators (channels, ...)."""
    value = np.empty_like(acc)
    for channel, row in enumerate(form.values):
        first, last = int(low[channel]), int(high[channel])
        if last - first < _TABLE_LIMIT:
            table = form.base + np.searchsorted(row, np.arange(first, last + 1), side="right")
            value[channel] = table[acc[channel] - first]
        else:
            value[channel] = form.base + np.searchsorted(row, acc[channel], side="right")
    return value


def max_pool(layer: MaxPool, x: IntArray, length: int) -> IntArray:
    """Return the largest value of each window."""
    reach = layer.stride * (length - 1) + layer.kernel
    right = max(0, reach - layer.pad - x.shape[2])
    padded = np.pad(x, ((0, 0), (0, 0), (layer.pad, right)), constant_values=np.iinfo(np.int64).min)
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer.kernel, axis=2)
    return np.asarray(windows[:, :, :: layer.stride][:, :, :length].max(axis=3))


def run(program: Program, integers: NDArray[Any]) -> dict[str, IntArray]:
    """Run integer samples through a program.

    Args:
        program: A program.
        integers: (frames, 2, frame length) integers of the input tensor, as ``quantize_input`` makes them.

    Returns:
        Every tensor by name, (frames, channels, length); ``program.output`` holds the integer logits.
    """
    values: dict[str, IntArray] = {program.input: np.asarray(integers, np.int64)}
    for layer in program.layers:
        length = program.tensors[layer.output].length
        if isinstance(layer, MaxPool):
            values[layer.output] = max_pool(layer, values[layer.source], length)
        else:
            values[layer.output] = requantize(layer, accumulate(layer, values, length))
    return values


def integer_logits(program: Program, integers: NDArray[Any]) -> IntArray:
    """Return (frames, classes) integer logits of integer samples."""
    return run(program, integers)[program.output][:, :, 0]


def logits(program: Program, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (frames, classes) real logits of real samples (frames, 2, frame length)."""
    integers = integer_logits(program, quantize_input(program.quantizer, frames))
    return (integers * program.logit_scale).astype(np.float32)
