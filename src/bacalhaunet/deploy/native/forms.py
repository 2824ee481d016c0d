"""Requantization by long multipliers and in floating point, proven against the thresholds of the integer program.

    two sums:     code = clip((upper + (lower >> split)) >> shift), long products in two parts
    32-bit sums:  code = clip(rint(scale * sum + bias)) in float32 or float64

A code is a value minus the smallest value of its tensor's quantizer, so that clipping starts at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bacalhaunet.deploy.integer.program import Conv, IntArray, Thresholds, WideForm
from bacalhaunet.deploy.integer.thresholds import LOW_BITS, multiplier_bits, offset_interval
from bacalhaunet.deploy.integer.wide import low_bits

WIDE_SPLIT = 15
"""Low bits multiplied apart in the faster way of long multipliers, as ``engine.h`` has it."""


@dataclass(frozen=True)
class LongForm:
    """Long multipliers in two parts, for one or two sums; ``starts`` are added to these."""

    upper: tuple[int, int]
    lower: tuple[int, int]
    offset: int
    offset_low: int
    split: int
    shift: int
    starts: tuple[int, int] = (0, 0)

    @property
    def even(self) -> bool:
        """Whether the kernels' faster way does it: nothing to add to the upper part, the level from bit 16 on."""
        return self.offset == 0 and self.split == WIDE_SPLIT and self.shift == 16


def split_long(multiplier: list[int], offset: int, shift: int, low: int) -> LongForm:
    """Split multipliers into upper 2^low + lower, the lower part centred on 0."""
    multiplier = [*multiplier, 0][:2]
    lower = [((m + (1 << (low - 1))) & ((1 << low) - 1)) - (1 << (low - 1)) for m in multiplier]
    upper = [(m - part) >> low for m, part in zip(multiplier, lower, strict=True)]
    return LongForm(
        (upper[0], upper[1]), (lower[0], lower[1]), offset >> low, offset & ((1 << low) - 1), low, shift - low
    )


def find_long(layer: Conv, channel: int) -> LongForm | None:
    """Return the long form of one channel with sums of at most 16 bits; None if there is none."""
    low, high = layer.acc_low[:, channel], layer.acc_high[:, channel]
    if low.min() < -32768 or high.max() > 32767:
        return None
    worst = int(np.maximum(np.abs(low), np.abs(high)).sum())
    form = layer.requantizer
    if isinstance(form, WideForm):
        if form.low is None:
            return None
        offset = int(form.offset[channel]) - (form.low << form.shift)
        multiplier = [int(m) for m in form.multiplier[:, channel]]
        ends = [(int(a), int(b)) for a, b in zip(low, high, strict=True)]
        even = _even_long(multiplier, offset, form.shift, ends)
        return even or _checked(split_long(multiplier, offset, form.shift, low_bits(worst)))
    values = form.values[[channel]]
    for shift in range(LOW_BITS, 40):
        centre = round(float(layer.affine.scale[0, channel]) * 2.0**shift)
        if centre > 2 ** multiplier_bits(worst) - 8:
            return None
        tried = np.arange(max(0, centre - 4), centre + 5)
        smallest, largest = offset_interval(values, 0, low, high, tried[:, None], shift)
        good = np.flatnonzero((smallest[:, 0] <= largest[:, 0]) & (np.abs(smallest[:, 0] + largest[:, 0]) < 2**45))
        if len(good):
            offset = int(smallest[good[0], 0] + largest[good[0], 0]) >> 1
            multiplier = [int(tried[good[0]])]
            even = _even_long(multiplier, offset, shift, [(int(low[0]), int(high[0]))])
            return even or _checked(split_long(multiplier, offset, shift, low_bits(worst)))
    return None


def _even_long(multiplier: list[int], offset: int, shift: int, ends: list[tuple[int, int]]) -> LongForm | None:
    """Return the form whose level starts at bit 16, above 15 low bits, its offset in the sums' starts; None if none.

    (acc1 M1 + acc2 M2 + b) >> p is not changed by doubling multipliers and offset with every shift more.
    """
    if shift > WIDE_SPLIT + 16 or min(multiplier) < 0:
        return None
    doubled = WIDE_SPLIT + 16 - shift
    multiplier, rest = [m << doubled for m in multiplier], offset << doubled
    starts = [0, 0]
    for group in sorted(range(len(multiplier)), key=lambda g: -multiplier[g]):
        if multiplier[group] == 0:
            continue
        low, high = ends[group]
        starts[group] = int(np.clip(rest // multiplier[group], -32768 - low, 32767 - high))
        rest -= starts[group] * multiplier[group]
    form = split_long(multiplier, rest, WIDE_SPLIT + 16, WIDE_SPLIT)
    whole = LongForm(form.upper, form.lower, 0, rest, WIDE_SPLIT, 16, (starts[0], starts[1]))
    spans = [(low + start, high + start) for (low, high), start in zip(ends, starts, strict=False)]
    reach = [max(-low, high) for low, high in spans]
    lower = sum(r * abs(part) for r, part in zip(reach, whole.lower, strict=False)) + abs(rest)
    total = sum(r * abs(part) for r, part in zip(reach, whole.upper, strict=False)) + (lower >> WIDE_SPLIT) + 1
    return _checked(whole) if lower < 2**31 and total < 2**31 else None


def _checked(form: LongForm) -> LongForm | None:
    """Return the form if its parts fit their fields."""
    fits = all(abs(part) < 32768 for part in (*form.upper, *form.lower)) and abs(form.offset) < 2**30
    return form if fits else None


@dataclass(frozen=True)
class RealForm:
    """rint(scale * sum + bias), in float32 if ``single`` was proven exact, else in float64."""

    scale: float
    bias: float
    single: bool


def find_real(layer: Conv, channel: int) -> RealForm | None:
    """Return the floating-point form of one channel of one sum, proven next to every threshold."""
    form = layer.requantizer
    if not isinstance(form, Thresholds):
        return None
    low, high = int(layer.acc_low[0, channel]), int(layer.acc_high[0, channel])
    row = form.values[channel]
    codes = 1 + np.arange(len(row))
    reached = (row > low) & (row <= high)
    at, code = row[reached], codes[reached]
    scale, bias = float(layer.affine.scale[0, channel]), float(layer.affine.offset[channel]) - form.base
    ends = np.array([low, high])
    if max(abs(low), abs(high)) < 2**24 and _single_is_exact(scale, bias, at, code, ends, row):
        return RealForm(scale, bias, True)
    largest = abs(scale) * max(abs(low), abs(high)) + abs(bias) + 1
    margin = 1e-13 * largest
    clear = np.all(scale * at + bias > code - 0.5 + margin) and np.all(scale * (at - 1) + bias < code - 0.5 - margin)
    return RealForm(scale, bias, False) if clear and largest < 2**31 else None


def _single_is_exact(scale: float, bias: float, at: IntArray, code: IntArray, ends: IntArray, row: IntArray) -> bool:
    def level(acc: IntArray) -> np.ndarray:  # a fused multiply-add: one rounding of the exact result
        exact = np.longdouble(np.float32(scale)) * acc + np.longdouble(np.float32(bias))
        return np.rint(exact.astype(np.float32))

    inside = bool(np.all(level(at) >= code) and np.all(level(at - 1) < code)) if len(at) else True
    counted = (ends[:, None] >= row).sum(axis=1)
    clipped = np.clip(level(ends), 0, len(row))
    return inside and bool(np.all(clipped == counted)) and bool(np.all(np.abs(level(ends)) < 2**30))
