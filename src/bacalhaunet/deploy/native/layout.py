"""Memory and tables of a native model, field by field as ``kernels/engine.h`` declares them.

The arena holds the rows of every tensor and of every prepared plane, with the zero bytes around them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from bacalhaunet.deploy.integer.program import InputQuantizer, IntArray, Program, needed_channels

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
    """Return how many zeros layers read before and beyond a tensor's row."""
    length, tensors = program.tensors[name].length, program.tensors
    reaches = [layer.reach(length, tensors[layer.output].length) for layer in program.layers if name in layer.sources]
    return max((left for left, _ in reaches), default=0), max((right for _, right in reaches), default=0)


def zero_code(program: Program, name: str) -> int:
    """Return the byte that stands for 0: minus the smallest value the tensor's quantizer can give."""
    for layer in program.layers:
        if layer.output == name:
            return zero_code(program, layer.sources[0]) if layer.floor is None else -layer.floor
    return -program.tensors[name].format_low


def place_tensors(program: Program, arena: Arena) -> dict[str, Rows]:
    """Place every tensor but the logits; constant channels are filled in once and for all."""
    needed = needed_channels(program.layers, program.tensors)
    placed = {}
    for name, tensor in program.tensors.items():
        if name == program.output:
            continue
        channels = np.flatnonzero(needed[name])
        zero, (left, right) = zero_code(program, name), _margins(program, name)
        vector = tensor.length == 1 and not left and not right
        offset = np.full(tensor.channels, -1, np.int64)
        if vector:
            base = arena.take(max(len(channels), 1), zero)
            offset[channels] = base + np.arange(len(channels))
        else:
            before = round_up(left)
            stride = before + round_up(tensor.length + right + 4)
            base = arena.take(max(len(channels), 1) * stride + round_up(right + 4), zero)
            offset[channels] = base + before + np.arange(len(channels)) * stride
        for channel in channels[tensor.constant[channels]]:
            arena.fill(int(offset[channel]), tensor.length, int(tensor.low[channel]) + zero)
        placed[name] = Rows(channels, offset, zero, vector)
    return placed


class Kind(IntEnum):
    """enum instruction_kind."""

    PAIRS = 0
    GATHER = 1
    CONV16 = 2
    MAX16 = 3
    WIDE16 = 4
    CONV32 = 5
    ANY = 6
    POOL = 7
    SPARSE = 8
    DENSE = 9
    ROUND = 10
    LOGITS = 11
    SUM = 12


class Pattern(IntEnum):
    """enum pattern."""

    PAIR_1 = 0
    PAIR_2 = 1
    LOCAL = 2
    QUAD_1 = 3
    QUAD_2 = 4
    QUAD_4 = 5
    LOCAL_4 = 6


class FormKind(IntEnum):
    """enum form."""

    FULL = 0
    SHIFT = 1
    SHIFT_BELOW = 2
    PLAIN = 3
    PLAIN_BELOW = 4


CONV16_TWO = 8
"""Added to the form where the sum is that of two."""

INSTRUCTION_FIELDS = (
    "kind", "pattern", "n", "channels", "first", "high", "stride", "source", "output", "extra", "groups", "kernel",
    "pad", "length", "zero", "flags",
)  # fmt: skip
RECORD = np.dtype(
    [(name, np.int32) for name in ("first", "count", "count2", "output", "start", "multiplier", "lower", "offset",
                                   "offset_low", "shift", "split")]
    + [("scale_float", np.float32), ("bias_float", np.float32), ("exact_float", np.int32), ("scale", np.float64),
       ("bias", np.float64)]
)  # fmt: skip


@dataclass
class NativeTables:
    """A model as the extension takes it.

    Attributes:
        instructions: Rows of ``INSTRUCTION_FIELDS``.
        records: Tuples of ``RECORD``.
        entries: Offset and packed weights.
        numbers: What instructions list in 32 bits.
        wides: What they list in 64.
        initial: The arena before the first frame.
        rows: Offsets of the I and Q rows; -1 where one is not read.
        code: The byte of the input that stands for 0.
        sums: 32-bit sums a workspace needs.
    """

    quantizer: InputQuantizer
    frame_length: int
    classes: int
    logit_scale: float
    instructions: list[dict[str, int]] = field(default_factory=list)
    records: list[tuple[float, ...]] = field(default_factory=list)
    entries: list[tuple[int, int]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    wides: list[int] = field(default_factory=list)
    initial: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    rows: tuple[int, int] = (-1, -1)
    code: int = 0
    sums: int = 64

    def add_instruction(self, kind: Kind, **fields: int) -> None:
        """Append an instruction; fields not given are 0."""
        self.instructions.append(dict.fromkeys(INSTRUCTION_FIELDS, 0) | {"kind": int(kind)} | fields)

    def add_record(self, **fields: float) -> None:
        """Append a record; fields not given are 0."""
        assert RECORD.names is not None
        self.records.append(tuple(fields.get(name, 0) for name in RECORD.names))

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Return instructions, records, entries, numbers and wides as arrays of C's types."""
        instructions = np.array([[row[name] for name in INSTRUCTION_FIELDS] for row in self.instructions], np.int32)
        return (
            instructions.reshape(-1, len(INSTRUCTION_FIELDS)),
            np.array(self.records, RECORD),
            np.array(self.entries, np.int32).reshape(-1, 2),
            np.array(self.numbers, np.int32),
            np.array(self.wides, np.int64),
        )


def pack_pair(first: int, second: int) -> int:
    """Return two signed bytes, twice."""
    return pack_quad(first, second, first, second)


def pack_quad(*weights: int) -> int:
    """Return four signed bytes as a signed number of 32 bits."""
    packed = sum((weight & 255) << (8 * place) for place, weight in enumerate(weights))
    return packed - 2**32 if packed >= 2**31 else packed


def pack_halves(low: int, high: int) -> int:
    """Return two 16-bit numbers as a signed one of 32 bits."""
    packed = (low & 0xFFFF) | ((high & 0xFFFF) << 16)
    return packed - 2**32 if packed >= 2**31 else packed
