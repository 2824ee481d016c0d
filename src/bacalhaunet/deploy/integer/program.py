"""The integer program: what every emitter and engine runs, and the interpreter defines.

A program is a list of two kinds of layer over named tensors of small integers. A tensor's value v stands for the real
number scale * v (zero points are removed while lowering). A convolution sums taps into one or more accumulators,

    acc_g[o, j] = sum over sources s of group g, input channels i, taps k of  W_s[o, i, k] v_s[i, S j + D k - P],

and its requantizer turns them into the next tensor's integers. Dense layers are convolutions as long as their input,
sums of tensors are convolutions of one tap of weight 1. Accumulators are signed so that requantizers never decrease.

Proven ranges: what an accumulator can reach, which channels are constant, and which nobody reads.

    acc <= sum over taps of max(w low, w high), and 0 as well for a tap that falls on padding,

with low and high the proven range of the channel the tap reads; the same with min for the smallest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Tensor:
    """Integers of shape (channels, length).

    Attributes:
        name: Unique in the program.
        length: Values a channel.
        scale: The real number an integer 1 stands for.
        low: Proven smallest value of each channel.
        high: Proven largest value of each channel. Equal to ``low``: the channel is constant.
        format_low: The smallest value the quantizer can give.
        format_high: The largest.
    """

    name: str
    length: int
    scale: float
    low: IntArray
    high: IntArray
    format_low: int
    format_high: int

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.low)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which channels never change; the dead ones, always 0, among them."""
        return np.asarray(self.low == self.high)

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Which channels are always 0."""
        return np.asarray(self.constant & (self.low == 0))


@dataclass(frozen=True)
class InputQuantizer:
    """v = clip(round(clip(x, clip_low, clip_high) / scale + zero), low, high) - zero, in float32, round half to even.

    Attributes:
        scale: Step, a float32 number.
        zero: Zero point, an integer.
        low: Smallest level.
        high: Largest level.
        clip_low: Smallest real value let through; -inf where there is no clip before the quantizer.
        clip_high: Largest.
    """

    scale: float
    zero: int
    low: int
    high: int
    clip_low: float = -np.inf
    clip_high: float = np.inf


@dataclass(frozen=True)
class Affine:
    """The real function a requantizer rounds: y = sum_g scale[g, o] * acc_g + offset[o], in steps of the output.

    Attributes:
        scale: (accumulators, channels).
        offset: (channels,). A ReLU or clip before the quantizer is part of ``floor`` and ``ceiling``.
        floor: The smallest level that can come out, as an integer value.
        ceiling: The largest.
    """

    scale: FloatArray
    offset: FloatArray
    floor: int
    ceiling: int


@dataclass(frozen=True)
class Thresholds:
    """v = base + number of thresholds that are <= acc: the exact form for one accumulator.

    Attributes:
        values: (channels, levels - 1) int64, ascending in each row. A threshold that no accumulator reaches is one
            above the largest accumulator; one that all reach is the smallest accumulator.
        base: The value below the first threshold.
        linear: The same function as ``(acc * multiplier + offset) >> shift``, clipped.
    """

    values: IntArray
    base: int
    linear: LinearForm


@dataclass(frozen=True)
class LinearForm:
    """v = clip((acc * multiplier + offset) >> shift, base, base + levels - 1), verified on every reachable accumulator.

    Attributes:
        multiplier: (channels,) not negative.
        offset: (channels,).
        shift: (channels,) 0 to 44.
        exact: (channels,) False where no such form was found and the thresholds must be used.
        narrow: (channels,) True where product and sum stay within 32 bits.
    """

    multiplier: IntArray
    offset: IntArray
    shift: IntArray
    exact: NDArray[np.bool_]
    narrow: NDArray[np.bool_]

    @property
    def fields(self) -> tuple[IntArray, IntArray, IntArray]:
        """Multiplier, offset and shift."""
        return self.multiplier, self.offset, self.shift


@dataclass(frozen=True)
class WideForm:
    """v = clip((sum_g acc_g * multiplier[g] + offset) >> shift, low, high), worked out in 64 bits.

    For sums of tensors whose scales have no common measure, where it is the definition (``error`` bounds its distance
    from the real function), and for logits.

    Attributes:
        multiplier: (accumulators, channels).
        offset: (channels,).
        shift: One shift for all channels.
        low: Smallest value; None: not clipped.
        high: Largest value; None: not clipped.
        error: Proven bound of |form - real function| before rounding down, in steps of the output.
    """

    multiplier: IntArray
    offset: IntArray
    shift: int
    low: int | None
    high: int | None
    error: float


@dataclass(frozen=True)
class Conv:
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
    computed: NDArray[np.bool_]

    @property
    def accumulators(self) -> int:
        """Number of accumulators an output has."""
        return max(self.group_of) + 1

    @property
    def kernel(self) -> int:
        """Taps of a filter."""
        return int(self.weights[0].shape[2])

    @property
    def depthwise(self) -> bool:
        """Whether each output reads one channel of each source."""
        return bool(self.weights[0].shape[1] == 1 and self.groups == self.weights[0].shape[0])


@dataclass(frozen=True)
class MaxPool:
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


Layer: TypeAlias = Conv | MaxPool


@dataclass(frozen=True)
class Program:
    """A whole network.

    Attributes:
        quantizer: From real I/Q samples to the integers of the tensor ``input``.
        input: Name of the input tensor, (2, frame length).
        layers: In an order in which every tensor is written before it is read.
        tensors: All tensors by name; the last layer's output holds the integer logits, of length 1.
        logit_scale: The real logit an integer logit of 1 stands for.
        labels: Class names by logit.
        source: The file it came from.
    """

    quantizer: InputQuantizer
    input: str
    layers: tuple[Layer, ...]
    tensors: dict[str, Tensor]
    logit_scale: float
    labels: tuple[str, ...]
    source: str

    @property
    def output(self) -> str:
        """Name of the tensor of integer logits."""
        return self.layers[-1].output

    @property
    def frame_length(self) -> int:
        """Complex samples of a frame."""
        return self.tensors[self.input].length

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.tensors[self.output].channels


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
        for position, name in enumerate(layer.sources):
            needed[name] |= read_channels(layer, position, tensors[name].channels, needed[layer.output])
    return needed
