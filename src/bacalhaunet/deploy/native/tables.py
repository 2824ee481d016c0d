"""The tables of a native model, field by field as ``kernels/engine.h`` declares them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from bacalhaunet.deploy.integer.program import InputQuantizer


class Kind(IntEnum):
    """enum step_kind."""

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

STEP_FIELDS = ("kind", "pattern", "n", "channels", "first", "high", "stride", "source", "output", "extra", "groups",
               "kernel", "pad", "length", "zero", "flags")  # fmt: skip
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
        steps: Rows of ``STEP_FIELDS``.
        records: Tuples of ``RECORD``.
        entries: Offset and packed weights.
        numbers: What steps list in 32 bits.
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
    steps: list[dict[str, int]] = field(default_factory=list)
    records: list[tuple[float, ...]] = field(default_factory=list)
    entries: list[tuple[int, int]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    wides: list[int] = field(default_factory=list)
    initial: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    rows: tuple[int, int] = (-1, -1)
    code: int = 0
    sums: int = 64

    def add_step(self, kind: Kind, **fields: int) -> None:
        """Append a step; fields not given are 0."""
        self.steps.append(dict.fromkeys(STEP_FIELDS, 0) | {"kind": int(kind)} | fields)

    def add_record(self, **fields: float) -> None:
        """Append a record; fields not given are 0."""
        assert RECORD.names is not None
        self.records.append(tuple(fields.get(name, 0) for name in RECORD.names))

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Return steps, records, entries, numbers and wides as arrays of C's types."""
        steps = np.array([[step[name] for name in STEP_FIELDS] for step in self.steps], np.int32)
        return (
            steps.reshape(-1, len(STEP_FIELDS)),
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
