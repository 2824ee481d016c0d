"""Requantization as the kernels do it, searched and proven against the thresholds of the integer program.

    16-bit sums:  code = clip(((sum M) >> 16) + c) >> p),  0 <= sum < 2^16, 0 <= M < 2^16
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

_TRIED = 48
"""Multipliers tried on either side of the real one."""


@dataclass(frozen=True)
class Form16:
    """Start of the sum, multiplier, offset and shift of the 16-bit form."""

    start: int
    multiplier: int
    offset: int
    shift: int


def find_form16(layer: Conv, channel: int) -> Form16 | None:
    """Search the 16-bit form of one channel; None if there is none.

    Since floors nest, it equals (acc M + start M + offset 2^16) >> (16 + shift), so any sum of the two offsets that
    lies in the interval the thresholds leave will do.
    """
    form = layer.requantizer
    assert isinstance(form, Thresholds)
    low, high = layer.acc_low[0, [channel]], layer.acc_high[0, [channel]]
    if high[0] - low[0] > 65535:
        return None
    values = form.values[[channel]]
    real = float(layer.affine.scale[0, channel])
    for shift in _shifts(real):
        centre = round(real * 2.0 ** (16 + shift))
        tried = np.arange(max(1, centre - _TRIED), min(65535, centre + _TRIED) + 1)
        if not len(tried):
            continue
        smallest, largest = offset_interval(values, 0, low, high, tried[:, None], 16 + shift)
        for candidate in np.flatnonzero(smallest[:, 0] <= largest[:, 0]):
            bounds = int(smallest[candidate, 0]), int(largest[candidate, 0])
            found = _split_offset(bounds, int(tried[candidate]), int(low[0]), int(high[0]), shift)
            if found is not None:
                return found
    return None


def _shifts(real: float) -> range:
    """Return the shifts for which the multiplier has 12 to 16 bits."""
    if real <= 0:
        return range(0)
    top = int(np.floor(np.log2(65535 / real))) - 16
    return range(min(top, 15), max(top - 4, -1), -1)


def _split_offset(bounds: tuple[int, int], multiplier: int, low: int, high: int, shift: int) -> Form16 | None:
    """Find start and offset with start M + offset 2^16 between the bounds, nothing wrapping around."""
    starts = np.arange(-low, 65535 - high + 1, dtype=np.int64)[:16384]
    offset = -((starts * multiplier - bounds[0]) >> 16)
    fits = starts * multiplier + (offset << 16) <= bounds[1]
    products = ((low + starts) * multiplier >> 16) + offset, ((high + starts) * multiplier >> 16) + offset
    fits &= (np.abs(offset) < 32768) & (products[0] >= -32768) & (products[1] <= 32767)
    if not fits.any():
        return None
    best = int(np.argmax(fits))
    return Form16(int(starts[best]), multiplier, int(offset[best]), shift)


@dataclass(frozen=True)
class LongForm:
    """Long multipliers in two parts, for one or two sums."""

    upper: tuple[int, int]
    lower: tuple[int, int]
    offset: int
    offset_low: int
    split: int
    shift: int


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
        return _checked(split_long([int(m) for m in form.multiplier[:, channel]], offset, form.shift, low_bits(worst)))
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
            return _checked(split_long([int(tried[good[0]])], offset, shift, low_bits(worst)))
    return None


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
    margin = 1e-13 * (abs(scale) * max(abs(low), abs(high)) + abs(bias) + 1)
    clear = np.all(scale * at + bias > code - 0.5 + margin) and np.all(scale * (at - 1) + bias < code - 0.5 - margin)
    return RealForm(scale, bias, False) if clear and abs(bias) < 2**30 else None


def _single_is_exact(scale: float, bias: float, at: IntArray, code: IntArray, ends: IntArray, row: IntArray) -> bool:
    def level(acc: IntArray) -> np.ndarray:  # a fused multiply-add: one rounding of the exact result
        exact = np.longdouble(np.float32(scale)) * acc + np.longdouble(np.float32(bias))
        return np.rint(exact.astype(np.float32))

    inside = bool(np.all(level(at) >= code) and np.all(level(at - 1) < code)) if len(at) else True
    counted = (ends[:, None] >= row).sum(axis=1)
    clipped = np.clip(level(ends), 0, len(row))
    return inside and bool(np.all(clipped == counted)) and bool(np.all(np.abs(level(ends)) < 2**30))
