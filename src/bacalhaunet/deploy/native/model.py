"""A program loaded into the native engine, and how many vector operations it takes a frame.

Their number bounds its speed: no processor issues more than a few of them a cycle.
"""

from __future__ import annotations

import math
import time
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.program import IntArray, Program
from bacalhaunet.deploy.native.layout import CONV16_TWO, FormKind, Kind, NativeTables, Pattern
from bacalhaunet.deploy.native.plan import NativePlan, plan_native
from bacalhaunet.errors import ConfigError

WITH_FOURS = frozenset({"avx512"})
"""Kernels that sum four products of bytes in one operation."""

FLOAT = np.dtype(np.float32)
"""Asked for by this object, an array is made faster than by the name of its type."""


def load_extension() -> ModuleType | None:
    """Return the compiled kernels; None where the package was installed without a C compiler."""
    try:
        return import_module("bacalhaunet.deploy.native._engine")
    except ImportError:
        return None


def available_kernels() -> list[str]:
    """Return the names of the kernels this processor can run, the best first; empty without the extension."""
    extension = load_extension()
    return [] if extension is None else list(extension.available())


def clock_rate() -> float:
    """Return this core's cycles a second, the best of a few short measurements; 0 without the extension."""
    extension = load_extension()
    if extension is None:
        return 0.0
    count, rates = 1_000_000, []
    for _ in range(20):
        start = time.perf_counter()
        extension.chain(count)
        rates.append(count / (time.perf_counter() - start))
    return max(rates)


class NativeModel:
    """Tables of one program and the kernels that run it.

    Args:
        program: What to run.
        kernels: ``"avx512"``, ``"avx2"`` or ``"portable"``; None for the best this processor has.

    Raises:
        ConfigError: If the extension is not there or this processor lacks the kernels.
        UnsupportedOperationError: If the program has a layer the engine's bytes cannot hold.
    """

    def __init__(self, program: Program, kernels: str | None = None) -> None:
        extension = load_extension()
        if extension is None:
            raise ConfigError(
                "the native kernels are not installed",
                action="install the package's wheel, or install from source with a C compiler at hand",
            )
        names = list(extension.available())
        self.kernels = kernels or names[0]
        if self.kernels not in names:
            raise ConfigError(f"this processor has no kernels called {kernels!r}", allowed=", ".join(names))
        self.program = program
        self.plan: NativePlan = plan_native(program, fours=self.kernels in WITH_FOURS)
        self._extension, self._set = extension, extension.kernels(self.kernels)
        self._run = extension.run
        self._model = _make(extension, self.plan)
        low = program.tensors[program.input].format_low
        self._byte = np.int8 if low < 0 else np.uint8
        self._classes = program.classes

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return real logits (n, classes) of contiguous float32 frames (n, 2, frame length)."""
        output = np.empty((len(frames), self._classes), FLOAT)
        self._run(self._model, self._set, frames, output, False, False)
        return output

    def logits_of_integers(self, samples: NDArray[np.int8] | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return real logits (n, classes) of contiguous samples that are quantized already, one byte each."""
        output = np.empty((len(samples), self._classes), FLOAT)
        self._run(self._model, self._set, samples, output, True, False)
        return output

    def integer_logits(self, frames: NDArray[np.float32] | IntArray) -> NDArray[np.int32]:
        """Return integer logits (n, classes) of float frames, or of integers as the interpreter takes them."""
        output = np.empty((len(frames), self.program.classes), np.int32)
        real = frames.dtype.kind == "f"
        source = np.ascontiguousarray(frames, np.float32 if real else self._byte)
        self._run(self._model, self._set, source, output, not real, True)
        return output

    def trace(self, integers: IntArray) -> dict[str, IntArray]:
        """Return the values of every tensor the engine stores, (stored channels, length), after one frame."""
        memory = self._extension.trace(self._model, self._set, np.ascontiguousarray(integers, self._byte))
        arena = np.frombuffer(memory, np.uint8)
        values = {}
        for name, rows in self.plan.placed.items():
            if name in self.plan.fused:
                continue
            length = self.program.tensors[name].length
            offsets = rows.offset[rows.channels]
            values[name] = arena[offsets[:, None] + np.arange(length)].astype(np.int64) - rows.zero
        return values


def _make(extension: ModuleType, plan: NativePlan) -> object:
    tables = plan.tables
    quantizer = tables.quantizer
    scale = np.float32(quantizer.scale)
    clipped = bool(np.isfinite(quantizer.clip_low) or np.isfinite(quantizer.clip_high))
    numbers = (
        float(scale),
        float(quantizer.zero),
        float(np.float32(quantizer.clip_low)),
        float(np.float32(quantizer.clip_high)),
        float(quantizer.low),
        float(quantizer.high),
        int(clipped),
        *tables.rows,
        tables.frame_length,
        tables.code,
    )
    return extension.model(*tables.arrays(), tables.initial, tables.sums, tables.classes, tables.logit_scale, numbers)


BYTES = {"avx512": 64, "avx2": 32}
"""Bytes of a vector by kernels."""
ISSUED = 2
"""Vector operations of a cycle that the bound assumes; cores that issue more can pass it."""


def vector_operations(tables: NativeTables, kernels: str) -> int:
    """Return the arithmetic, shuffle and conversion operations on vectors of one frame; loads and stores left out."""
    size = BYTES[kernels]
    return sum(_of_instruction(tables, row, size) for row in tables.instructions) + _quantizer(
        tables.frame_length, size
    )


def _quantizer(length: int, size: int) -> int:
    return 2 * -(-length // size) * (4 * 4 + 5)


_ROUNDING16 = {FormKind.FULL: 3.0, FormKind.SHIFT: 2.0, FormKind.SHIFT_BELOW: 2.5, FormKind.PLAIN: 1.0,
               FormKind.PLAIN_BELOW: 1.5}  # fmt: skip
"""Operations of a vector of 16-bit sums up to the pack."""


def _of_instruction(tables: NativeTables, row: dict[str, int], size: int) -> int:
    records = tables.records[row["first"] : row["first"] + row["channels"]]
    kind = row["kind"]
    if kind == Kind.PAIRS:
        return (8 if row["pattern"] == Pattern.LOCAL_4 else 2) * row["channels"] * -(-row["n"] // size)
    if kind == Kind.SUM:
        vectors = -(-row["n"] // size)
        by_table = row["flags"] & 1 and size == BYTES["avx512"]  # of 64 levels, made for every row
        return row["channels"] * (7 + 2 * vectors if by_table else 7 * vectors)
    if kind not in (Kind.CONV16, Kind.MAX16, Kind.WIDE16, Kind.CONV32):
        return 0
    entries = sum(int(record[1]) + int(record[2]) for record in records)
    dots = size == BYTES["avx512"]  # a product of pairs or fours is added in the same operation
    if kind == Kind.CONV32:
        vectors = -(-row["n"] // (size // 4))
        return entries * vectors * (1 if dots else 3 if row["flags"] & 1 else 6) + row["channels"] * vectors * 6
    vectors = -(-row["n"] // (size // 2))
    mixed = 1 if row["pattern"] not in (Pattern.LOCAL, Pattern.LOCAL_4) else 0
    rounding = row["channels"] * _rounding(Kind(kind), row["flags"], dots) * vectors
    packing = 0 if kind == Kind.MAX16 else row["channels"] * (2 + mixed) * -(-vectors // 2)
    packing += row["channels"] * vectors if row["pattern"] == Pattern.LOCAL_4 else 0
    return 2 * entries * vectors + math.ceil(rounding) + packing


def _rounding(kind: Kind, flags: int, dots: bool) -> float:
    if kind == Kind.MAX16:
        return 1
    if kind == Kind.CONV16:
        return _ROUNDING16[FormKind(flags & (CONV16_TWO - 1))] + bool(flags & CONV16_TWO)
    if flags & 1:
        return 9 if dots else 15
    return 13 if dots else 17
