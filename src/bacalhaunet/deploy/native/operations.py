"""How many vector operations a frame takes, for comparing its time with what the processor could issue at most."""

from __future__ import annotations

import math

from bacalhaunet.deploy.native.tables import CONV16_TWO, FormKind, Kind, NativeTables, Pattern

BYTES = {"avx512": 64, "avx2": 32}
"""Bytes of a vector by kernels."""
ISSUED = 2
"""Vector operations of a cycle that the bound assumes; cores that issue more can pass it."""


def vector_operations(tables: NativeTables, kernels: str) -> int:
    """Return the arithmetic, shuffle and conversion operations on vectors of one frame; loads and stores left out."""
    size = BYTES[kernels]
    return sum(_of_step(tables, step, size) for step in tables.steps) + _quantizer(tables.frame_length, size)


def _quantizer(length: int, size: int) -> int:
    return 2 * -(-length // size) * (4 * 4 + 5)


_ROUNDING16 = {FormKind.FULL: 3.0, FormKind.SHIFT: 2.0, FormKind.SHIFT_BELOW: 2.5, FormKind.PLAIN: 1.0,
               FormKind.PLAIN_BELOW: 1.5}  # fmt: skip
"""Operations of a vector of 16-bit sums up to the pack."""


def _of_step(tables: NativeTables, step: dict[str, int], size: int) -> int:
    records = tables.records[step["first"] : step["first"] + step["channels"]]
    kind = step["kind"]
    if kind == Kind.PAIRS:
        return (8 if step["pattern"] == Pattern.LOCAL_4 else 2) * step["channels"] * -(-step["n"] // size)
    if kind == Kind.SUM:
        vectors = -(-step["n"] // size)
        by_table = step["flags"] & 1 and size == BYTES["avx512"]  # of 64 levels, made for every row
        return step["channels"] * (7 + 2 * vectors if by_table else 7 * vectors)
    if kind not in (Kind.CONV16, Kind.MAX16, Kind.WIDE16, Kind.CONV32):
        return 0
    entries = sum(int(record[1]) + int(record[2]) for record in records)
    dots = size == BYTES["avx512"]  # a product of pairs or fours is added in the same operation
    if kind == Kind.CONV32:
        vectors = -(-step["n"] // (size // 4))
        return entries * vectors * (1 if dots else 3 if step["flags"] & 1 else 6) + step["channels"] * vectors * 6
    vectors = -(-step["n"] // (size // 2))
    mixed = 1 if step["pattern"] not in (Pattern.LOCAL, Pattern.LOCAL_4) else 0
    rounding = step["channels"] * _rounding(Kind(kind), step["flags"], dots) * vectors
    packing = 0 if kind == Kind.MAX16 else step["channels"] * (2 + mixed) * -(-vectors // 2)
    packing += step["channels"] * vectors if step["pattern"] == Pattern.LOCAL_4 else 0
    return 2 * entries * vectors + math.ceil(rounding) + packing


def _rounding(kind: Kind, flags: int, dots: bool) -> float:
    if kind == Kind.MAX16:
        return 1
    if kind == Kind.CONV16:
        return _ROUNDING16[FormKind(flags & (CONV16_TWO - 1))] + bool(flags & CONV16_TWO)
    if flags & 1:
        return 9 if dots else 15
    return 13 if dots else 17
