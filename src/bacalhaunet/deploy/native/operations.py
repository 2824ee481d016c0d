"""How many vector operations a frame takes, for comparing its time with what the processor could issue at most."""

from __future__ import annotations

from bacalhaunet.deploy.native.tables import Kind, NativeTables, Pattern

BYTES = {"avx512": 64, "avx2": 32}
"""Bytes of a vector by kernels."""
ISSUED = 2
"""Vector operations of a cycle that the bound assumes; cores that issue more can pass it."""


def vector_operations(tables: NativeTables, kernels: str) -> int:
    """Return the arithmetic, shuffle and conversion operations on vectors of one frame; loads and stores left out."""
    size = BYTES[kernels]
    return sum(_of_step(tables, step, size) for step in tables.steps) + _quantizer(tables.frame_length, size)


def _quantizer(length: int, size: int) -> int:
    return 2 * -(-length // size) * (4 * 5 + 5)


def _of_step(tables: NativeTables, step: dict[str, int], size: int) -> int:
    records = tables.records[step["first"] : step["first"] + step["channels"]]
    kind = step["kind"]
    if kind == Kind.PAIRS:
        return 2 * step["channels"] * -(-step["n"] // size)
    if kind not in (Kind.CONV16, Kind.MAX16, Kind.WIDE16, Kind.CONV32):
        return 0
    entries = sum(int(record[1]) + int(record[2]) for record in records)
    if kind == Kind.CONV32:
        vectors = -(-step["n"] // (size // 4))
        return entries * vectors + step["channels"] * vectors * 6
    vectors = -(-step["n"] // (size // 2))
    mixed = 1 if step["pattern"] != Pattern.LOCAL else 0
    rounding = {Kind.CONV16: 3, Kind.MAX16: 1, Kind.WIDE16: 13}[Kind(kind)] * vectors
    packing = 0 if kind == Kind.MAX16 else (2 + mixed) * -(-vectors // 2)
    return 2 * entries * vectors + step["channels"] * (rounding + packing)
