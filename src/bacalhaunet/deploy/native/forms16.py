"""The 16-bit requantization of the kernels, searched and proven against the thresholds of the integer program.

    code = clip(max((sum M) >> (16 + p), 0) - d),  -2^15 <= sum < 2^15, 0 < M < 2^15
    code = clip((((sum M) >> 16) + c) >> p),       0 <= sum < 2^16, 0 <= M < 2^16, where the first is not exact

A code is a value minus the smallest value of its tensor's quantizer, so that clipping starts at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bacalhaunet.deploy.integer.program import Conv, IntArray, Thresholds
from bacalhaunet.deploy.integer.thresholds import offset_interval
from bacalhaunet.deploy.native.tables import FormKind

_TRIED = 24
"""Multipliers tried on either side of the real one."""
_FACTORS = 8
"""Factors tried for the weights at most."""


@dataclass(frozen=True)
class Form16:
    """A 16-bit form of ``factor`` times the sum, with ``start`` added to it.

    Attributes:
        start: Of the sum.
        multiplier: M.
        offset: c; None for the form without.
        shift: p.
        below: d, taken from the byte.
        factor: What the weights are multiplied by: a finer start makes more channels exact.
        split: The sum is that of the taps before this one and of the others, added with saturation; None: one sum.
    """

    start: int
    multiplier: int
    offset: int | None
    shift: int
    below: int = 0
    factor: int = 1
    split: int | None = None

    @property
    def kind(self) -> FormKind:
        """Which of the kernels' ways it takes."""
        if self.offset is not None:
            return FormKind.FULL
        if self.shift or self.split is not None:
            return FormKind.SHIFT_BELOW if self.below else FormKind.SHIFT
        return FormKind.PLAIN_BELOW if self.below else FormKind.PLAIN


def find_form16(layer: Conv, channel: int, factors: int = 1) -> Form16 | None:
    """Search the cheapest 16-bit form of one channel; None if there is none.

    Args:
        layer: A layer of one sum.
        channel: Which of its outputs.
        factors: The largest factor that the weights may be multiplied by.
    """
    assert isinstance(layer.requantizer, Thresholds)
    if int(layer.acc_high[0, channel] - layer.acc_low[0, channel]) > 65535:
        return None
    return find_signed16(layer, channel, factors) or _find_offset16(layer, channel)


def find_signed16(layer: Conv, channel: int, factors: int = 1, *, saturated: bool = False) -> Form16 | None:
    """Search the form without offset of one channel, cheapest first; None if there is none.

    The sum is factor * acc + start, so the code is (acc (factor M) + start M) >> (16 + p), minus d. The thresholds
    leave an interval for start M - d 2^(16 + p); the form is exact if that holds one of the numbers this can be.

    Args:
        layer: A layer of one sum.
        channel: Which of its outputs.
        factors: The largest factor.
        saturated: Whether a sum beyond 16 bits is taken for the largest or smallest that 16 bits hold.
    """
    form = layer.requantizer
    assert isinstance(form, Thresholds)
    ends = int(layer.acc_low[0, channel]), int(layer.acc_high[0, channel])
    row, real = form.values[channel], float(layer.affine.scale[0, channel])
    reached = row[(row > ends[0]) & (row <= ends[1])]
    span = _slope_span(reached, real)
    kept = ends
    if saturated:  # it is enough that every threshold and the sum before it are seen
        kept = (int(reached[0]) - 1, int(reached[-1])) if len(reached) else (0, 0)
    tried = [f for f in range(min(factors, _FACTORS), 0, -1) if f * (kept[1] - kept[0]) < 65536]
    for shifts in ((0,), _signed_shifts(real)):
        found = [_Slopes.of(row, span, ends, (factor, shift)) for shift in shifts for factor in tried]
        ways = [slopes for slopes in found if slopes is not None]
        for most in (0, 255 - len(row)):
            for slopes in ways:
                short = slopes.form(kept, most)
                if short is not None:
                    return short
    return None


def _slope_span(reached: IntArray, real: float) -> tuple[float, float]:
    """Return bounds of the slopes, in levels per 1 of the sum, that can meet the first and the last threshold."""
    if len(reached) < 3 or reached[-1] - reached[0] < 2:
        return real * 0.995, real * 1.005
    # First and last may lie on one sum together with others: levels between them all the same.
    levels, apart = len(reached) - 1, int(reached[-1] - reached[0])
    return levels / (apart + 1), levels / (apart - 1)


def _signed_shifts(real: float) -> tuple[int, ...]:
    """Return the shifts for which a multiplier of some factor has 13 bits to 15."""
    if real <= 0:
        return ()
    top = int(np.floor(np.log2(32767 / real))) - 16
    return tuple(range(max(top - 1, 1), min(top + 3, 15) + 1))


@dataclass(frozen=True)
class _Slopes:
    """The multipliers of one factor and shift that keep all levels apart, and what each leaves for the offset."""

    multiplier: IntArray
    smallest: IntArray
    largest: IntArray
    factor: int
    shift: int

    @classmethod
    def of(
        cls, row: IntArray, span: tuple[float, float], ends: tuple[int, int], way: tuple[int, int]
    ) -> _Slopes | None:
        factor, shift = way
        low_m, high_m = (bound * 2.0 ** (16 + shift) / factor for bound in span)
        if high_m < 1 or low_m > 32767 or np.ceil(low_m) > high_m:
            return None
        step = max(1, int(high_m - low_m) // (2 * _TRIED))
        tried = np.arange(max(1, int(np.ceil(low_m))), min(32767, int(high_m)) + 1, step)
        low, high = np.array([ends[0]]), np.array([ends[1]])
        smallest, largest = offset_interval(row[None], 0, low, high, (factor * tried)[:, None], 16 + shift)
        good = np.flatnonzero(smallest[:, 0] <= largest[:, 0])
        return cls(tried[good], smallest[good, 0], largest[good, 0], factor, shift) if len(good) else None

    def form(self, kept: tuple[int, int], most: int) -> Form16 | None:
        """Return a form that takes at most ``most`` from the byte and holds ``factor * kept`` in 16 bits."""
        below = np.arange(most + 1)
        m, moved = self.multiplier[:, None], below << (16 + self.shift)
        smallest = np.maximum(self.smallest[:, None] + moved, (-32768 - self.factor * kept[0]) * m)
        largest = np.minimum(self.largest[:, None] + moved, (32767 - self.factor * kept[1]) * m)
        start = -(-smallest // m)
        fits = np.argwhere(start * m <= largest)
        if not len(fits):
            return None
        row, column = (int(n) for n in fits[0])
        return Form16(int(start[row, column]), int(m[row, 0]), None, self.shift, int(below[column]), self.factor)


def _find_offset16(layer: Conv, channel: int) -> Form16 | None:
    """Search the form with an offset.

    Since floors nest, it equals (acc M + start M + offset 2^16) >> (16 + shift), so any sum of the two offsets that
    lies in the interval the thresholds leave will do.
    """
    form = layer.requantizer
    assert isinstance(form, Thresholds)
    low, high = layer.acc_low[0, [channel]], layer.acc_high[0, [channel]]
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
