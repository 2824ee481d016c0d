"""How the kernels round sums to codes: forms searched by channel, each proven equal to the program's thresholds.

    Form16    code = clip(max((s M) >> (16 + p), 0) - d)     -2^15 <= s < 2^15,  0 < M < 2^15
              code = clip((((s M) >> 16) + c) >> p)          0 <= s < 2^16,      0 <= M < 2^16
    LongForm  code = clip((U + (L >> split)) >> shift)       one sum of 16 bits, or two with a multiplier each
    RealForm  code = clip(rint(scale * acc + bias))          one sum of 32 bits, in float32 or float64

A code is a value minus the smallest its quantizer gives, so that clipping starts at 0. In ``Form16`` s is
factor * acc + start, with acc the accumulator of the program; the second way is tried where the first is not exact. In
``LongForm`` every multiplier is upper 2^split + lower, U = offset + sum of s_g upper_g, L = offset_low + sum of
s_g lower_g, and s_g is acc_g + start_g.

The proof: ``offset_interval`` gives all b for which (acc m + b) >> shift crosses every level at its threshold. A form
is exact if it can be written like that with such a b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bacalhaunet.deploy.integer.layers import Conv
from bacalhaunet.deploy.integer.program import IntArray
from bacalhaunet.deploy.integer.requantizer_search import low_bits, multiplier_bits
from bacalhaunet.deploy.integer.requantizers import LOW_BITS, Thresholds, WideForm, offset_interval
from bacalhaunet.deploy.native.layout import FormKind

WIDE_SPLIT = 15
"""Low bits multiplied apart in the faster way of long multipliers, as ``engine.h`` has it."""


@dataclass(frozen=True)
class LongForm:
    """code = clip((U + (L >> split)) >> shift), U and L as the module says, for one or two sums.

    Attributes:
        upper: The multipliers' upper parts.
        lower: Their lower parts, 16 bits with a sign.
        offset: Of U.
        offset_low: Of L.
        split: Bits between upper and lower part.
        shift: Of the whole.
        starts: Added to the sums.
    """

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
    """Return the form with split 15 and shift 16 whose U has no offset; None if there is none.

        (acc1 M1 + acc2 M2 + b) >> p = (acc1 2^n M1 + acc2 2^n M2 + 2^n b) >> (p + n)

    So the level can start at bit 31 in any case. As much of b as they take goes into the sums' starts, the rest stays
    as the offset of L.
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
    """code = clip(rint(scale * acc + bias)), in float32 if ``single`` was proven exact, else in float64."""

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


_TRIED = 24
"""Multipliers tried on either side of the real one."""
_FACTORS = 8
"""Factors tried for the weights at most."""


@dataclass(frozen=True)
class Form16:
    """code = clip(max((s M) >> (16 + p), 0) - d), or with an offset clip((((s M) >> 16) + c) >> p).

    Attributes:
        start: s is factor * acc + start.
        multiplier: M.
        offset: c; None for the first way.
        shift: p.
        below: d.
        factor: What the weights are multiplied by: a start in finer units makes more channels exact.
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

        (((factor acc + start) M) >> (16 + p)) - d = (acc (factor M) + b) >> (16 + p),  b = start M - d 2^(16 + p)

    The form is exact if some start and d give a b that the thresholds allow.

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
    """Search the form with an offset of one channel; None if there is none.

        ((((acc + start) M) >> 16) + c) >> p = (acc M + b) >> (16 + p),  b = start M + c 2^16,  since floors nest

    The form is exact if some start and c give a b that the thresholds allow.
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
