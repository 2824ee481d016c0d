"""The arena: where the rows of every tensor and of every prepared plane lie, with the zero bytes around them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bacalhaunet.deploy.integer.program import Conv, IntArray, Program
from bacalhaunet.deploy.integer.ranges import needed_channels, padded_taps

LINE = 64
_SLACK = 8192
"""Bytes after the last row that blocks of outputs may read beyond their row."""


def round_up(size: int) -> int:
    """Return the next multiple of a cache line."""
    return -(-size // LINE) * LINE


@dataclass(frozen=True)
class Rows:
    """A tensor in the arena.

    Attributes:
        channels: Stored channels.
        offset: Of the first value of each channel of the tensor; -1 for channels that are not stored.
        zero: The byte that stands for 0.
        vector: Whether it is of length 1 with its stored channels side by side.
    """

    channels: IntArray
    offset: IntArray
    zero: int
    vector: bool


@dataclass
class Arena:
    """Places rows one after the other and keeps what the memory holds before the first frame."""

    size: int = LINE
    _spare: int = LINE
    _spare_size: int = 0
    _used: int = 0
    fills: list[tuple[int, int, int]] = field(default_factory=list)

    def take(self, size: int, fill: int = 0) -> int:
        """Return the offset of ``size`` new bytes, filled with ``fill``."""
        offset = self.size
        self.size = round_up(offset + size)
        if fill:
            self.fills.append((offset, size, fill))
        return offset

    def begin_planes(self) -> None:
        """Make the bytes of all planes so far free again: their kernels have run by then."""
        self._used = 0

    def take_plane(self, size: int) -> int:
        """Return the offset of bytes for a prepared plane, which live until the next ``begin_planes``."""
        if self._used + size > self._spare_size:
            if self._used:
                return self.take(size)
            self._spare_size = round_up(4 * size)
            self._spare = self.take(self._spare_size)
        offset = self._spare + self._used
        self._used = round_up(self._used + size)
        return offset

    def fill(self, offset: int, size: int, value: int) -> None:
        """Set bytes for good."""
        self.fills.append((offset, size, value))

    def initial(self) -> np.ndarray:
        """Return the memory before the first frame."""
        memory = np.zeros(round_up(self.size) + _SLACK, np.uint8)
        for offset, size, value in self.fills:
            memory[offset : offset + size] = value
        return memory


def _margins(program: Program, name: str) -> tuple[int, int]:
    """Return how far taps reach before and beyond a tensor's row."""
    length = program.tensors[name].length
    left = right = 0
    for layer in program.layers:
        if isinstance(layer, Conv) and name in layer.sources:
            last = layer.stride * (program.tensors[layer.output].length - 1) + layer.dilation * (layer.kernel - 1)
            left, right = max(left, layer.pad), max(right, last - layer.pad - (length - 1))
    return left, right


def _is_vector(program: Program, name: str) -> bool:
    """Whether nothing reads a tensor of length 1 with padding."""
    if program.tensors[name].length != 1:
        return False
    for layer in program.layers:
        if isinstance(layer, Conv) and name in layer.sources:
            outputs = program.tensors[layer.output].length
            if padded_taps(layer.kernel, layer.stride, layer.dilation, layer.pad, 1, outputs).any():
                return False
    return True


def zero_code(program: Program, name: str) -> int:
    """Return the byte that stands for 0: minus the smallest value the tensor's quantizer can give."""
    for layer in program.layers:
        if layer.output == name:
            if isinstance(layer, Conv):
                return -layer.affine.floor
            return zero_code(program, layer.source)
    return -program.tensors[name].format_low


def place_tensors(program: Program, arena: Arena) -> dict[str, Rows]:
    """Place every tensor but the logits; constant channels are filled in once and for all."""
    needed = needed_channels(program.layers, program.tensors)
    placed = {}
    for name, tensor in program.tensors.items():
        if name == program.output:
            continue
        channels = np.flatnonzero(needed[name])
        zero, vector = zero_code(program, name), _is_vector(program, name)
        offset = np.full(tensor.channels, -1, np.int64)
        if vector:
            base = arena.take(max(len(channels), 1), zero)
            offset[channels] = base + np.arange(len(channels))
        else:
            left, right = _margins(program, name)
            before = round_up(left)
            stride = before + round_up(tensor.length + right + 4)
            base = arena.take(max(len(channels), 1) * stride + round_up(right + 4), zero)
            offset[channels] = base + before + np.arange(len(channels)) * stride
        for channel in channels[tensor.constant[channels]]:
            arena.fill(int(offset[channel]), tensor.length, int(tensor.low[channel]) + zero)
        placed[name] = Rows(channels, offset, zero, vector)
    return placed
