"""Requantizers: how the sums of a layer become the next tensor's integers.

    real function     y = sum_g scale[g, o] acc_g + offset[o],  v = clip(round(y), floor, ceiling), half to even
    Thresholds        v = base + number of thresholds that are <= acc: exact, for one accumulator
    WideForm          v = clip((sum_g acc_g M[g, o] + b[o]) >> p, low, high): several accumulators, and logits

A requantizer never decreases with an accumulator. ``Thresholds`` carry a ``LinearForm`` that equals them everywhere,
for processors that rather multiply than compare.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.deploy.integer.claims import require, whole
from bacalhaunet.deploy.integer.program import FloatArray, IntArray, Mask, Tensor

if TYPE_CHECKING:
    from bacalhaunet.deploy.integer.layers import Conv

_INT32 = 2**31 - 1
_FAR = 2**62
_TABLE_LIMIT = 1 << 18
"""Accumulator ranges up to this size are looked up in a table, larger ones searched in the thresholds."""
_MOST_LEVELS, _MOST_SHIFT, _MOST_MULTIPLIER, _MOST_SUM = 255, 45, 2**31, 2**62
_MOST_LEVEL = 2.0**30
"""Real levels, before they are clipped, are rounded to 32 bits by some kernels."""
_NOTHING = np.empty(0, np.int64)

LOW_BITS = 15
"""Low bits of a long multiplier that are multiplied apart."""


@dataclass(frozen=True)
class Affine:
    """The real function a requantizer rounds: y = sum_g scale[g, o] * acc_g + offset[o], in levels of the output.

    Attributes:
        scale: (accumulators, channels).
        offset: (channels,). A ReLU or clip before the quantizer is part of ``floor`` and ``ceiling``.
        floor: The smallest level that can come out, as an integer value.
        ceiling: The largest.
    """

    scale: FloatArray
    offset: FloatArray
    floor: int
    ceiling: int

    def level(self, acc: FloatArray | IntArray) -> IntArray:
        """Return the exact output value for accumulators (accumulators, channels, ...), worked out in float64."""
        shape = (-1,) + (1,) * (acc.ndim - 2)
        total = self.offset.reshape(shape)
        for scale, part in zip(self.scale, acc, strict=True):
            total = total + scale.reshape(shape) * part
        return np.clip(np.rint(total), self.floor, self.ceiling).astype(np.int64)

    def thresholds(self, acc_low: IntArray, acc_high: IntArray) -> IntArray:
        """Return (channels, ceiling - floor): the smallest accumulator in [acc_low, acc_high] of each level.

        Of one accumulator with scales that are not negative the level never decreases, so these define it.

        Args:
            acc_low: (channels,) smallest reachable accumulator.
            acc_high: (channels,) largest. A level above its level gets the threshold ``acc_high + 1``.
        """
        levels = np.arange(self.floor + 1, self.ceiling + 1)
        low = np.repeat(acc_low[:, None], len(levels), axis=1)
        high = np.repeat(acc_high[:, None] + 1, len(levels), axis=1)
        # Bisection keeps: every accumulator below `low` is under the level; `high` reaches it or is out of range.
        while np.any(low < high):
            middle = (low + high) // 2
            reached = self.level(middle[None]) >= levels
            high = np.where(reached & (low < high), middle, high)
            low = np.where(reached | (low >= high), low, middle + 1)
        return low

    def check(self, layer: Conv, output: Tensor, *, last: bool) -> None:
        """Check the real function of a layer, which the forms of an engine are searched by.

        Raises:
            ValueError: If shapes, numbers or levels do not fit.
        """
        fits = self.scale.shape == (layer.accumulators, output.channels) and self.offset.shape == (output.channels,)
        require(fits, f"{layer.name}: shapes of its real function")
        finite = np.isfinite(self.scale).all() and np.isfinite(self.offset).all()
        require(finite, f"{layer.name}: its real function")
        levels = whole(self.floor, -(2**31), 2**31) and whole(self.ceiling, self.floor, 2**31)
        inside = levels and output.format_low <= self.floor and self.ceiling <= output.format_high
        require(inside or (levels and last), f"{layer.name}: levels {self.floor} to {self.ceiling}")


@dataclass(frozen=True)
class LinearForm:
    """v = clip((acc * multiplier + offset) >> shift, base, base + levels - 1), verified on every reachable accumulator.

    Attributes:
        multiplier: (channels,) not negative.
        offset: (channels,).
        shift: (channels,) 0 to 44.
        exact: (channels,) False where no such form was found and the thresholds must be used.
        narrow: (channels,) True where product and sum stay within 32 bits.
    """

    multiplier: IntArray
    offset: IntArray
    shift: IntArray
    exact: Mask
    narrow: Mask

    @property
    def fields(self) -> tuple[IntArray, IntArray, IntArray]:
        """Multiplier, offset and shift."""
        return self.multiplier, self.offset, self.shift

    def check(self, layer: Conv, thresholds: Thresholds) -> None:
        """Check that it equals its thresholds on every reachable accumulator.

        Raises:
            ValueError: If it does not, or its numbers leave their bits.
        """
        name, ends = layer.name, (layer.acc_low[0], layer.acc_high[0])
        same = all(one.shape == ends[0].shape for one in (*self.fields, self.exact, self.narrow))
        require(same and self.exact.dtype == self.narrow.dtype == np.bool_, f"{name}: its linear form")
        require((self.shift >= 0).all() and (self.shift <= _MOST_SHIFT).all(), f"{name}: shifts of its linear form")
        require((self.multiplier >= 0).all() and (self.multiplier < _MOST_MULTIPLIER).all(), f"{name}: multipliers")
        require((self.offset > -_MOST_SUM).all() and (self.offset < _MOST_SUM).all(), f"{name}: offsets")
        narrow = fits_32_bits(self.multiplier, self.offset, *ends)
        within = (self.exact | ~self.narrow).all() and narrow[self.narrow].all()
        require(within, f"{name}: a linear form beyond 32 bits")
        for shift in np.unique(self.shift[self.exact]):
            at = np.flatnonzero(self.exact & (self.shift == shift))
            low, high = (one[at] for one in ends)
            tried = self.multiplier[at][None]
            smallest, largest = offset_interval(thresholds.values[at], thresholds.base, low, high, tried, int(shift))
            equal = (smallest[0] <= self.offset[at]) & (self.offset[at] <= largest[0])
            require(equal.all(), f"{name}: a linear form that is not its thresholds")


@dataclass(frozen=True)
class Thresholds:
    """v = base + number of thresholds that are <= acc: the exact form for one accumulator.

    Attributes:
        values: (channels, levels - 1) int64, ascending in each row. A threshold that no accumulator reaches is one
            above the largest accumulator; one that all reach is the smallest accumulator.
        base: The value below the first threshold.
        linear: The same function as ``(acc * multiplier + offset) >> shift``, clipped.
    """

    values: IntArray
    base: int
    linear: LinearForm

    def apply(self, acc: IntArray, acc_low: IntArray, acc_high: IntArray) -> IntArray:
        """Return the values (channels, ...) of accumulators (1, channels, ...)."""
        value: IntArray = np.empty_like(acc[0])
        for channel, row in enumerate(self.values):
            first, last = int(acc_low[0, channel]), int(acc_high[0, channel])
            if last - first < _TABLE_LIMIT:
                table = self.base + np.searchsorted(row, np.arange(first, last + 1), side="right")
                value[channel] = table[acc[0, channel] - first]
            else:
                value[channel] = self.base + np.searchsorted(row, acc[0, channel], side="right")
        return value

    def output_range(self, acc_low: IntArray, acc_high: IntArray) -> tuple[IntArray, IntArray]:
        """Return the smallest and largest value of each channel."""
        low, high = (self.base + (self.values <= ends[0][:, None]).sum(axis=1) for ends in (acc_low, acc_high))
        return low, high

    def words(self, computed: Mask) -> str:
        """Return the form of the computed channels in words."""
        shifts = self.linear.shift[computed & self.linear.exact]
        if not computed.any() or not len(shifts):
            return f"{self.values.shape[1]} thresholds" if computed.any() else "-"
        span = f"{shifts.min()}..{shifts.max()}" if shifts.min() < shifts.max() else f"{shifts.min()}"
        wide = int((computed & self.linear.exact & ~self.linear.narrow).sum())
        searched = int((computed & ~self.linear.exact).sum())
        notes = ([f"{wide} long"] if wide else []) + ([f"{searched} by thresholds"] if searched else [])
        return f"(acc M + b) >> {span}" + (f" ({', '.join(notes)})" if notes else "")

    def without_derived(self) -> Thresholds:
        """Return it without the thresholds: the real function gives them again."""
        return replace(self, values=_NOTHING)

    def with_derived(self, affine: Affine, acc_low: IntArray, acc_high: IntArray) -> Thresholds:
        """Return it with the thresholds of the real function."""
        if affine.ceiling - affine.floor > _MOST_LEVELS:
            raise ValueError(f"{affine.ceiling - affine.floor} levels")
        return replace(self, values=affine.thresholds(acc_low[0], acc_high[0]))

    def check(self, layer: Conv, output: Tensor, *, last: bool) -> None:
        """Check a requantizer of one accumulator; its thresholds were found by the real function."""
        affine, name = layer.affine, layer.name
        require(not last, f"{name}: logits that are rounded to levels")
        require(layer.accumulators == 1 and (affine.scale >= 0).all(), f"{name}: a requantizer that can decrease")
        require(whole(self.base, affine.floor, affine.floor), f"{name}: base {self.base}")
        worst = np.maximum(np.abs(layer.acc_low[0]), np.abs(layer.acc_high[0]))
        require((affine.scale[0] * worst + np.abs(affine.offset) < _MOST_LEVEL).all(), f"{name}: levels beyond 32 bits")
        shape = (output.channels, affine.ceiling - affine.floor)
        require(self.values.shape == shape, f"{name}: shape of its thresholds")
        require((np.diff(self.values, axis=1) >= 0).all(), f"{name}: thresholds that fall")
        self.linear.check(layer, self)


@dataclass(frozen=True)
class WideForm:
    """v = clip((sum_g acc_g * multiplier[g] + offset) >> shift, low, high), worked out in 64 bits.

    For sums of tensors whose scales have no common measure, where it is the definition (``error`` bounds its distance
    from the real function), and for logits.

    Attributes:
        multiplier: (accumulators, channels).
        offset: (channels,).
        shift: One shift for all channels.
        low: Smallest value; None: not clipped.
        high: Largest value; None: not clipped.
        error: Proven bound of |form - real function| before rounding down, in levels of the output.
    """

    multiplier: IntArray
    offset: IntArray
    shift: int
    low: int | None
    high: int | None
    error: float

    def apply(self, acc: IntArray, acc_low: IntArray, acc_high: IntArray) -> IntArray:
        """Return the values (channels, ...) of accumulators (accumulators, channels, ...)."""
        shape = (-1,) + (1,) * (acc.ndim - 2)
        total = self.offset.reshape(shape)
        for multiplier, part in zip(self.multiplier, acc, strict=True):
            total = total + multiplier.reshape(shape) * part
        value = total >> self.shift
        return value if self.low is None or self.high is None else np.clip(value, self.low, self.high)

    def output_range(self, acc_low: IntArray, acc_high: IntArray) -> tuple[IntArray, IntArray]:
        """Return the smallest and largest value of each channel."""
        falling = self.multiplier < 0
        ends = np.where(falling, acc_high, acc_low), np.where(falling, acc_low, acc_high)
        return self.apply(ends[0], acc_low, acc_high), self.apply(ends[1], acc_low, acc_high)

    def words(self, computed: Mask) -> str:
        """Return the form in words."""
        if self.low is None and self.shift == 0:
            return "acc + b"
        terms = " + ".join(f"acc{g or ''} M{g or ''}" for g in range(len(self.multiplier)))
        return f"({terms} + b) >> {self.shift}"

    def without_derived(self) -> WideForm:
        """Return it as it is: nothing of it follows from the rest."""
        return self

    def with_derived(self, affine: Affine, acc_low: IntArray, acc_high: IntArray) -> WideForm:
        """Return it as it is."""
        return self

    def check(self, layer: Conv, output: Tensor, *, last: bool) -> None:
        """Check a requantizer with long multipliers."""
        name, affine = layer.name, layer.affine
        fits = self.multiplier.shape == layer.acc_low.shape and self.offset.shape == (output.channels,)
        require(fits, f"{name}: shapes of its 64-bit form")
        ends = np.maximum(np.abs(layer.acc_low), np.abs(layer.acc_high)).astype(object)
        multiplier, offset = (np.abs(one.astype(object)) for one in (self.multiplier, self.offset))
        sums = (multiplier * ends).sum(axis=0) + offset
        require(multiplier.max() < _MOST_MULTIPLIER and max(sums) < _MOST_SUM, f"{name}: numbers beyond 64 bits")
        if last:
            require(self.low is None and self.high is None and whole(self.shift, 0, _MOST_SHIFT), f"{name}: its logits")
        else:
            levels = whole(self.low, affine.floor, affine.floor) and whole(self.high, affine.ceiling, affine.ceiling)
            require(levels and whole(self.shift, LOW_BITS, _MOST_SHIFT), f"{name}: levels or shift")


REQUANTIZERS = (Thresholds, WideForm)
"""The kinds of requantizer a stored program may have."""


def offset_interval(
    thresholds: IntArray, base: int, acc_low: IntArray, acc_high: IntArray, multiplier: IntArray, shift: int
) -> tuple[IntArray, IntArray]:
    """Return the smallest and largest b for which (acc m + b) >> shift crosses every level at its threshold.

    Channels are along the first axis of ``thresholds`` (channels, levels); ``multiplier`` is (candidates, channels).
    The interval is empty (smallest > largest) where the multiplier cannot do it. Levels that no reachable
    accumulator separates only bound one side.
    """
    levels = (base + 1 + np.arange(thresholds.shape[1])) << shift
    below = np.maximum(thresholds - 1, acc_low[:, None] - 1)
    needs_low = thresholds <= acc_high[:, None]
    needs_high = thresholds > acc_low[:, None]
    m = multiplier[:, :, None]
    smallest = np.where(needs_low, levels - m * thresholds, -_FAR).max(axis=2, initial=-_FAR)
    largest = np.where(needs_high, levels - 1 - m * below, _FAR).min(axis=2, initial=_FAR)
    return smallest, largest


def fits_32_bits(multiplier: IntArray, offset: IntArray, acc_low: IntArray, acc_high: IntArray) -> Mask:
    """Return whether product and sum stay within 32 bits, of each channel, or of each candidate and channel."""
    fits = (np.abs(offset) <= _INT32) & (multiplier <= _INT32)
    for acc in (acc_low, acc_high):
        product = multiplier.astype(np.float64) * acc
        fits &= (np.abs(product) <= _INT32) & (np.abs(product + offset) <= _INT32)
    return np.asarray(fits)
