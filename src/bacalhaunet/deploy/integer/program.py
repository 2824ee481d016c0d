"""The integer program: what every emitter and engine runs, and its own ``run`` defines.

    values = program.run(program.quantizer.integers(frames))      # every tensor, exactly
    logits = program.logits(frames)

A program is a list of layers over named tensors of small integers. A tensor's value v stands for the real number
scale * v (zero points are removed while lowering). A layer is a dataclass that carries all there is to know of an
operation: what it reads, what it computes, the range of its results, its cost, what of it is stored and how a stored
one is checked. Emitters and engines add to that how they run it. The kinds of layer are in ``integer.layers``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


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
    def constant(self) -> Mask:
        """Which channels never change; the dead ones, always 0, among them."""
        return np.asarray(self.low == self.high)

    @property
    def dead(self) -> Mask:
        """Which channels are always 0."""
        return np.asarray(self.constant & (self.low == 0))


@dataclass(frozen=True)
class InputQuantizer:
    """v = clip(round(clip(x, clip_low, clip_high) / scale + zero), low, high) - zero, in float32, round half to even.

    Attributes:
        scale: The real number between two levels, a float32 number.
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

    def integers(self, frames: NDArray[np.float32]) -> IntArray:
        """Return the integers of real samples, in float32 arithmetic as the trained network rounds them."""
        x = np.asarray(frames, np.float32)
        if np.isfinite(self.clip_low) or np.isfinite(self.clip_high):
            x = np.clip(x, np.float32(self.clip_low), np.float32(self.clip_high))
        level = np.rint(x / np.float32(self.scale) + np.float32(self.zero))
        return np.asarray(np.clip(level, self.low, self.high).astype(np.int64) - self.zero)


@dataclass(frozen=True)
class LayerSummary:
    """One layer in numbers.

    Attributes:
        name: The ONNX node.
        kind: ``depthwise 27/2`` (kernel / stride), ``pointwise``, ``full 3``, ``dense``, ``sum``, ``max pool``.
        shape: Channels and length of the output.
        taps: Non-zero weights of the channels that are computed, a byte each.
        macs: Multiplications a frame.
        requantized: Outputs that are rounded a frame.
        computed: Channels computed.
        constant: Channels that never change, dead ones included.
        unread: Other channels that no logit depends on.
        accumulator: Proven range.
        form: Requantization in words.
        levels: Range of the output.
    """

    name: str
    kind: str
    shape: tuple[int, int]
    taps: int
    macs: int
    requantized: int
    computed: int
    constant: int
    unread: int
    accumulator: tuple[int, int]
    form: str
    levels: tuple[int, int]


class Layer(ABC):
    """One operation of a program: reads tensors, writes one. Its kinds are frozen dataclasses.

    Output j reads its sources from position stride * j - pad to stride * j - pad + span.

    Attributes:
        name: Name of the ONNX node.
        sources: Names of the tensors read, each once; all have one length.
        output: Name of the tensor written.
        stride: Positions of a source from one output to the next.
        pad: Positions before a source's first that the first output reads.
        span: Distance from the first position that an output reads to the last.
        floor: The smallest value its quantizer gives; None for a layer that only passes on its source's values.
    """

    if TYPE_CHECKING:  # what subclasses have as fields or properties

        @property
        def name(self) -> str: ...
        @property
        def sources(self) -> tuple[str, ...]: ...
        @property
        def output(self) -> str: ...
        @property
        def stride(self) -> int: ...
        @property
        def pad(self) -> int: ...
        @property
        def span(self) -> int: ...

    @property
    def floor(self) -> int | None:
        """See the class."""
        return None

    @abstractmethod
    def run(self, inputs: Sequence[IntArray], length: int) -> IntArray:
        """Return the output (frames, channels, length) of its sources' values (frames, channels, length), exactly."""

    @abstractmethod
    def output_range(self, tensors: Mapping[str, Tensor]) -> tuple[IntArray, IntArray]:
        """Return the proven smallest and largest value of each channel, over the proven ranges of its sources."""

    @abstractmethod
    def summary(self, tensors: Mapping[str, Tensor]) -> LayerSummary:
        """Return what it is and what it costs."""

    @abstractmethod
    def read_channels(self, source: int, channels: int, needed: Mask) -> Mask:
        """Return which of a source's channels are read to make the ``needed`` channels of the output."""

    @abstractmethod
    def check(self, tensors: Mapping[str, Tensor], *, last: bool) -> None:
        """Check a layer of unknown origin, so that every engine computes what ``run`` does.

        Raises:
            ValueError: If shapes, numbers or forms do not fit each other.
        """

    def running(self, length: int) -> bool:
        """Whether, with that output length, positions can be taken in one by one into the output itself."""
        return False

    def reach(self, source: int, output: int) -> tuple[int, int]:
        """Return how many zeros it reads before and beyond a source's row, of sources and an output that long."""
        return 0, 0

    def with_computed(self, computed: Mask) -> Self:
        """Return the layer with only some of its channels computed: those that change and that a logit depends on."""
        return self

    def computes(self, channels: Mask) -> bool:
        """Whether it computes just these channels; True for a layer that passes on what its source has."""
        return True

    def without_derived(self) -> Self:
        """Return the layer without what follows from the rest, as it is stored."""
        return self

    def with_derived(self, tensors: Mapping[str, Tensor]) -> Self:
        """Return a stored layer whole.

        Raises:
            ValueError: If its numbers are such that this might not end.
        """
        return self

    def room(self, tensors: Mapping[str, Tensor]) -> int:
        """Return an upper bound of the values an engine stores for it beside its tensors."""
        return 0


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

    def run(self, integers: NDArray[Any]) -> dict[str, IntArray]:
        """Run integer samples: the definition of what the program computes, in NumPy and exact arithmetic.

        Args:
            integers: (frames, 2, frame length) integers of the input tensor, as ``quantizer.integers`` makes them.

        Returns:
            Every tensor by name, (frames, channels, length); ``output`` holds the integer logits.
        """
        values: dict[str, IntArray] = {self.input: np.asarray(integers, np.int64)}
        for layer in self.layers:
            sources = [values[name] for name in layer.sources]
            values[layer.output] = layer.run(sources, self.tensors[layer.output].length)
        return values

    def integer_logits(self, integers: NDArray[Any]) -> IntArray:
        """Return (frames, classes) integer logits of integer samples."""
        return self.run(integers)[self.output][:, :, 0]

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (frames, classes) real logits of real samples (frames, 2, frame length)."""
        return (self.integer_logits(self.quantizer.integers(frames)) * self.logit_scale).astype(np.float32)


def needed_channels(layers: Sequence[Layer], tensors: Mapping[str, Tensor]) -> dict[str, Mask]:
    """Return for each tensor which channels are read on the way to a logit."""
    needed = {name: np.zeros(tensor.channels, np.bool_) for name, tensor in tensors.items()}
    needed[layers[-1].output][:] = True
    for layer in reversed(layers):
        for position, name in enumerate(layer.sources):
            needed[name] |= layer.read_channels(position, tensors[name].channels, needed[layer.output])
    return needed
