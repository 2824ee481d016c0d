"""Proven ranges: what an accumulator can reach, which channels are constant, and which nobody reads.

    acc <= sum over taps of max(w low, w high), and 0 as well for a tap that falls on padding,

with low and high the proven range of the channel the tap reads; the same with min for the smallest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.program import Conv, IntArray, Layer, Tensor


def padded_taps(kernel: int, stride: int, dilation: int, pad: int, length: int, outputs: int) -> NDArray[np.bool_]:
    """Return for each tap whether it lies outside the input at some output position."""
    start = dilation * np.arange(kernel) - pad
    return np.asarray((start < 0) | (start + stride * (outputs - 1) >= length))


def source_channels(outputs: int, inputs_per_group: int, groups: int) -> IntArray:
    """Return (outputs, inputs / groups): the input channel behind each weight."""
    group = np.arange(outputs) // (outputs // groups)
    return group[:, None] * inputs_per_group + np.arange(inputs_per_group)[None]


def source_range(
    weights: IntArray, tensor: Tensor, groups: int, padded: NDArray[np.bool_]
) -> tuple[IntArray, IntArray]:
    """Return the smallest and largest sum of one source's taps for each output channel."""
    channels = source_channels(weights.shape[0], weights.shape[1], groups)
    low, high = tensor.low[channels][:, :, None], tensor.high[channels][:, :, None]
    ends = weights * low, weights * high
    smallest, largest = np.minimum(*ends), np.maximum(*ends)
    smallest = np.where(padded, np.minimum(smallest, 0), smallest)
    largest = np.where(padded, np.maximum(largest, 0), largest)
    return smallest.sum(axis=(1, 2)), largest.sum(axis=(1, 2))


def accumulator_range(
    weights: Sequence[IntArray],
    group_of: Sequence[int],
    sources: Sequence[Tensor],
    groups: int,
    padded: NDArray[np.bool_],
) -> tuple[IntArray, IntArray]:
    """Return (accumulators, outputs) smallest and largest accumulators."""
    shape = (max(group_of) + 1, weights[0].shape[0])
    low, high = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for taps, group, tensor in zip(weights, group_of, sources, strict=True):
        smallest, largest = source_range(taps, tensor, groups, padded)
        low[group] += smallest
        high[group] += largest
    return low, high


def read_channels(layer: Layer, source: int, channels: int, needed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which channels of a layer's source are read to make the ``needed`` channels of its output."""
    if not isinstance(layer, Conv):
        return needed.copy()
    weights = layer.weights[source]
    behind = source_channels(weights.shape[0], weights.shape[1], layer.groups)
    touched = (weights != 0).any(axis=2) & (needed & layer.computed)[:, None]
    read = np.zeros(channels, np.bool_)
    read[behind[touched]] = True
    return read


def needed_channels(layers: Sequence[Layer], tensors: dict[str, Tensor]) -> dict[str, NDArray[np.bool_]]:
    """Return for each tensor which channels are read on the way to a logit."""
    needed = {name: np.zeros(tensor.channels, np.bool_) for name, tensor in tensors.items()}
    needed[layers[-1].output][:] = True
    for layer in reversed(layers):
        names = layer.sources if isinstance(layer, Conv) else (layer.source,)
        for position, name in enumerate(names):
            needed[name] |= read_channels(layer, position, tensors[name].channels, needed[layer.output])
    return needed
