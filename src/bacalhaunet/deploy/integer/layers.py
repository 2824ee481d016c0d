"""The kinds of layer of an integer program. A new operation is a class here, in ``LAYERS``; ``Layer`` is what it has.

A convolution sums taps into one or more accumulators, which its requantizer turns into the next tensor's integers:

    acc_g[o, j] = sum over sources s of group g, input channels i, taps k of  W_s[o, i, k] v_s[i, S j + D k - P]

Dense layers are convolutions as long as their input, sums of tensors are convolutions of one tap of weight 1.
Accumulators are signed so that requantizers never decrease. What an accumulator can reach is proven by its weights:

    acc <= sum over taps of max(w low, w high), and 0 as well for a tap that falls on padding,

with low and high the proven range of the channel the tap reads; the same with min for the smallest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.claims import require, whole
from bacalhaunet.deploy.integer.program import IntArray, Layer, LayerSummary, Mask, Tensor
from bacalhaunet.deploy.integer.requantizers import REQUANTIZERS, Affine, Thresholds, WideForm

_INT32 = 2**31 - 1
_MOST_LENGTH = 1 << 24
_LINE = 192
"""Bytes that a row in an engine may take more than its values."""
_NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True)
class Conv(Layer):
    """Taps, accumulators and the requantizer of one layer; see the module's formula.

    Attributes:
        name: Name of the ONNX node.
        sources: Names of the tensors read.
        group_of: Accumulator each source is summed into.
        weights: One array (outputs, inputs / groups, kernel) for each source.
        groups: Convolution groups: 1 for pointwise and full, channels for depthwise.
        stride: S.
        dilation: D.
        pad: P, zeros on the left; the zeros on the right follow from the output's length.
        output: Name of the tensor written.
        affine: The real function of the accumulators.
        requantizer: Its integer form.
        acc_low: (accumulators, outputs) proven smallest accumulator.
        acc_high: (accumulators, outputs) proven largest.
        computed: Outputs that are neither constant nor unread; only these need work.
    """

    name: str
    sources: tuple[str, ...]
    group_of: tuple[int, ...]
    weights: tuple[IntArray, ...]
    groups: int
    stride: int
    dilation: int
    pad: int
    output: str
    affine: Affine
    requantizer: Thresholds | WideForm
    acc_low: IntArray
    acc_high: IntArray
    computed: Mask

    @property
    def accumulators(self) -> int:
        """Number of accumulators an output has."""
        return max(self.group_of) + 1

    @property
    def kernel(self) -> int:
        """Taps of a filter."""
        return int(self.weights[0].shape[2])

    @property
    def span(self) -> int:
        """Distance from its first tap to its last."""
        return self.dilation * (self.kernel - 1)

    @property
    def depthwise(self) -> bool:
        """Whether each output reads one channel of each source."""
        return bool(self.weights[0].shape[1] == 1 and self.groups == self.weights[0].shape[0])

    @property
    def floor(self) -> int:
        """The smallest value its quantizer gives."""
        return self.affine.floor

    def reach(self, source: int, output: int) -> tuple[int, int]:
        """Return how many zeros its taps read before and beyond a row."""
        return self.pad, max(0, self.stride * (output - 1) + self.span - self.pad - (source - 1))

    def read_channels(self, source: int, channels: int, needed: Mask) -> Mask:
        """Return which channels of a source have a weight in a needed output."""
        weights = self.weights[source]
        behind = source_channels(weights.shape[0], weights.shape[1], self.groups)
        touched = (weights != 0).any(axis=2) & (needed & self.computed)[:, None]
        read = np.zeros(channels, np.bool_)
        read[behind[touched]] = True
        return read

    def with_computed(self, computed: Mask) -> Conv:
        """Return the layer with only some of its outputs computed."""
        return replace(self, computed=computed)

    def computes(self, channels: Mask) -> bool:
        """Whether it computes just these channels."""
        return bool(np.array_equal(self.computed, channels))

    def run(self, inputs: Sequence[IntArray], length: int) -> IntArray:
        """Return the requantized sums. Products in float64 are of integers below 2^53, and so exact."""
        acc = np.zeros((self.accumulators, len(inputs[0]), self.weights[0].shape[0], length))
        reach = self.stride * (length - 1) + self.span + 1
        for values, group, weights in zip(inputs, self.group_of, self.weights, strict=True):
            right = max(0, reach - self.pad - values.shape[2])
            x = np.pad(values.astype(np.float64), ((0, 0), (0, 0), (self.pad, right)))
            for tap in range(self.kernel):
                start = tap * self.dilation
                window = x[:, :, start : start + self.stride * (length - 1) + 1 : self.stride]
                acc[group] += _products(weights[:, :, tap].astype(np.float64), window, self.groups)
        channels_first = np.moveaxis(acc.astype(np.int64), 2, 1)
        return np.moveaxis(self.requantizer.apply(channels_first, self.acc_low, self.acc_high), 0, 1)

    def accumulator_range(self, tensors: Mapping[str, Tensor]) -> tuple[IntArray, IntArray]:
        """Return (accumulators, outputs) smallest and largest accumulators."""
        sources = [tensors[name] for name in self.sources]
        length = tensors[self.output].length
        padded = padded_taps(self.kernel, self.stride, self.dilation, self.pad, sources[0].length, length)
        return accumulator_range(self.weights, self.group_of, sources, self.groups, padded)

    def output_range(self, tensors: Mapping[str, Tensor]) -> tuple[IntArray, IntArray]:
        """Return the smallest and largest value of each output."""
        return self.requantizer.output_range(self.acc_low, self.acc_high)

    def summary(self, tensors: Mapping[str, Tensor]) -> LayerSummary:
        """Return what it is and what it costs."""
        tensor = tensors[self.output]
        taps = sum(int(np.count_nonzero(weights[self.computed])) for weights in self.weights)
        constant, computed = int(tensor.constant.sum()), int(self.computed.sum())
        used = self.computed if self.computed.any() else np.ones_like(self.computed)
        return LayerSummary(
            name=self.name,
            kind=self._kind(tensors[self.sources[0]].length, tensor.length),
            shape=(tensor.channels, tensor.length),
            taps=taps,
            macs=taps * tensor.length,
            requantized=computed * tensor.length,
            computed=computed,
            constant=constant,
            unread=tensor.channels - constant - computed,
            accumulator=(int(self.acc_low[:, used].min()), int(self.acc_high[:, used].max())),
            form=self.requantizer.words(self.computed),
            levels=(int(tensor.low.min()), int(tensor.high.max())),
        )

    def _kind(self, source: int, output: int) -> str:
        """Return what sort of layer it is, of a source and an output that long, in words."""
        sums = f" of {len(self.sources)}" if len(self.sources) > 1 else ""
        geometry = f" {self.kernel}" + (f"/{self.stride}" if self.stride > 1 else "")
        geometry += f" dilated {self.dilation}" if self.dilation > 1 else ""
        if self.depthwise and self.kernel == 1 and self.stride == 1:
            return f"sum{sums}" if sums else "rescale"
        if self.depthwise:
            return f"depthwise{geometry}{sums}"
        if output == 1 and self.kernel == source:
            return f"dense{sums}"
        return (f"pointwise{sums}" if self.kernel == 1 and self.groups == 1 else f"full{geometry}{sums}").strip()

    def without_derived(self) -> Conv:
        """Return it without the accumulators' ranges and what of the requantizer follows from the rest."""
        form = self.requantizer.without_derived()
        return replace(self, acc_low=_NOTHING, acc_high=_NOTHING, requantizer=form)

    def with_derived(self, tensors: Mapping[str, Tensor]) -> Conv:
        """Return it with the accumulators' ranges and a whole requantizer."""
        if max(self.group_of) >= len(self.sources):
            raise ValueError(f"accumulators {self.group_of} of {len(self.sources)} sources")
        low, high = self.accumulator_range(tensors)
        if low.min() < -_INT32 or high.max() > _INT32:  # the search for thresholds might not end
            raise ValueError("accumulators beyond 32 bits")
        form = self.requantizer.with_derived(self.affine, low, high)
        return replace(self, acc_low=low, acc_high=high, requantizer=form)

    def check(self, tensors: Mapping[str, Tensor], *, last: bool) -> None:
        """Check shapes, weights (sum |w| 255 < 2^31 for each output), the range of accumulators and the requantizer."""
        output, name, sources = tensors[self.output], self.name, [tensors[one] for one in self.sources]
        outputs, inputs, kernel = self.weights[0].shape
        require(len(self.weights) == len(self.group_of) == len(sources), f"{name}: numbers of sources")
        require(outputs == output.channels and inputs > 0 and kernel > 0, f"{name}: shape of its weights")
        integers = whole(self.groups, 1, outputs) and whole(self.stride, 1, _MOST_LENGTH)
        integers = integers and whole(self.dilation, 1, _MOST_LENGTH) and whole(self.pad, 0, _MOST_LENGTH)
        require(integers and outputs % self.groups == 0, f"{name}: groups, stride, dilation or pad")
        groups = sorted(set(self.group_of))
        integers = all(whole(one, 0, len(sources)) for one in self.group_of)
        require(integers and groups == list(range(len(groups))), f"{name}: accumulators {self.group_of}")
        length = sources[0].length
        for tensor, weights in zip(sources, self.weights, strict=True):
            require(weights.shape == self.weights[0].shape and weights.dtype == np.int64, f"{name}: weights")
            require(weights.min() >= -_INT32 and weights.max() <= _INT32, f"{name}: weights beyond 32 bits")
            require((tensor.channels, tensor.length) == (inputs * self.groups, length), f"{name}: shape of a source")
        heaviest = sum(np.abs(weights).sum(axis=(1, 2)) for weights in self.weights)
        require(np.max(heaviest) * 255 <= _INT32, f"{name}: sums beyond 32 bits")
        require(self.stride * (output.length - 1) - self.pad < length, f"{name}: length of its output")
        low, high = self.accumulator_range(tensors)
        require(np.array_equal(low, self.acc_low) and np.array_equal(high, self.acc_high), f"{name}: accumulators")
        require(self.computed.dtype == np.bool_ and self.computed.shape == (outputs,), f"{name}: what is computed")
        require(isinstance(self.requantizer, REQUANTIZERS), f"{name}: its requantizer")
        self.affine.check(self, output, last=last)
        self.requantizer.check(self, output, last=last)

    def room(self, tensors: Mapping[str, Tensor]) -> int:
        """Return how many values the margins around its sources and the planes made of these may take."""
        outputs, rows = tensors[self.output].length, sum(tensors[name].channels for name in self.sources)
        reach = self.pad + self.stride * (outputs - 1) + self.span + _LINE
        room = rows * (reach + min(self.stride, self.kernel) * (outputs + _LINE))
        if self.kernel > 1:
            return room
        pairs = min(math.comb(rows + 1, 2), sum(int(np.count_nonzero(weights)) for weights in self.weights))
        return room + pairs * (outputs + _LINE)


@dataclass(frozen=True)
class MaxPool(Layer):
    """v[c, j] = the largest of v[c, S j - P + k], k < kernel; positions outside the input do not take part."""

    name: str
    source: str
    output: str
    kernel: int
    stride: int
    pad: int

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)

    @property
    def span(self) -> int:
        """Distance from a window's first position to its last."""
        return self.kernel - 1

    def running(self, length: int) -> bool:
        """Whether windows do not overlap, so that one running column is enough."""
        return self.pad == 0 and (self.stride >= self.kernel or length == 1)

    def read_channels(self, source: int, channels: int, needed: Mask) -> Mask:
        """Return the needed channels themselves."""
        return needed.copy()

    def run(self, inputs: Sequence[IntArray], length: int) -> IntArray:
        """Return the largest value of each window."""
        reach = self.stride * (length - 1) + self.kernel
        right = max(0, reach - self.pad - inputs[0].shape[2])
        outside = np.iinfo(np.int64).min
        padded = np.pad(inputs[0], ((0, 0), (0, 0), (self.pad, right)), constant_values=outside)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=2)
        return np.asarray(windows[:, :, :: self.stride][:, :, :length].max(axis=3))

    def output_range(self, tensors: Mapping[str, Tensor]) -> tuple[IntArray, IntArray]:
        """Return the range of its source."""
        return tensors[self.source].low, tensors[self.source].high

    def summary(self, tensors: Mapping[str, Tensor]) -> LayerSummary:
        """Return what it is; it has no taps and rounds nothing."""
        tensor = tensors[self.output]
        constant = int(tensor.constant.sum())
        return LayerSummary(
            name=self.name,
            kind="max pool",
            shape=(tensor.channels, tensor.length),
            taps=0,
            macs=0,
            requantized=0,
            computed=tensor.channels - constant,
            constant=constant,
            unread=0,
            accumulator=(0, 0),
            form="-",
            levels=(int(tensor.low.min()), int(tensor.high.max())),
        )

    def check(self, tensors: Mapping[str, Tensor], *, last: bool) -> None:
        """Check its window and that it passes on as many channels as it reads."""
        source, output = tensors[self.source], tensors[self.output]
        require(not last, "the last layer gives no logits")
        integers = whole(self.kernel, 1, _MOST_LENGTH) and whole(self.stride, 1, _MOST_LENGTH)
        require(integers and whole(self.pad, 0, self.kernel - 1), f"{self.name}: kernel, stride or pad")
        require(self.stride * (output.length - 1) - self.pad < source.length, f"{self.name}: length of its output")
        require(source.channels == output.channels, f"{self.name}: channels")


LAYERS = (Conv, MaxPool)
"""The kinds of layer a program may have."""


def _products(weights: NDArray[np.float64], window: NDArray[np.float64], groups: int) -> NDArray[Any]:
    """Return one tap's contribution (frames, outputs, length)."""
    outputs, inputs = weights.shape
    if inputs == 1 and groups == outputs:
        return window * weights[None]
    frames, _, length = window.shape
    grouped = window.reshape(frames, groups, inputs, length)
    return np.asarray(weights.reshape(groups, outputs // groups, inputs) @ grouped).reshape(frames, outputs, length)


def padded_taps(kernel: int, stride: int, dilation: int, pad: int, length: int, outputs: int) -> Mask:
    """Return for each tap whether it lies outside the input at some output position."""
    start = dilation * np.arange(kernel) - pad
    return np.asarray((start < 0) | (start + stride * (outputs - 1) >= length))


def source_channels(outputs: int, inputs_per_group: int, groups: int) -> IntArray:
    """Return (outputs, inputs / groups): the input channel behind each weight."""
    group = np.arange(outputs) // (outputs // groups)
    return group[:, None] * inputs_per_group + np.arange(inputs_per_group)[None]


def accumulator_range(
    weights: Sequence[IntArray], group_of: Sequence[int], sources: Sequence[Tensor], groups: int, padded: Mask
) -> tuple[IntArray, IntArray]:
    """Return (accumulators, outputs) smallest and largest accumulators; see the module's formula."""
    shape = (max(group_of) + 1, weights[0].shape[0])
    low, high = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for taps, group, tensor in zip(weights, group_of, sources, strict=True):
        channels = source_channels(taps.shape[0], taps.shape[1], groups)
        ends = taps * tensor.low[channels][:, :, None], taps * tensor.high[channels][:, :, None]
        smallest, largest = np.minimum(*ends), np.maximum(*ends)
        low[group] += np.where(padded, np.minimum(smallest, 0), smallest).sum(axis=(1, 2))
        high[group] += np.where(padded, np.maximum(largest, 0), largest).sum(axis=(1, 2))
    return low, high
