"""Exact thresholds of a rounded affine function, and the cheapest 32-bit form that equals them everywhere.

    level(acc) = clip(round(a acc + b), low, high),  a >= 0, round half to even, in float64

never decreases, so it is given by the smallest accumulator of each level.

Requantizers with long multipliers: for sums of two scales, and for logits.

    v = (sum_g acc_g M_g + b) >> p,  M_g = round(scale_g 2^p),  b = round((offset + 1/2) 2^p)

is the real function rounded to the nearest integer, except within ``error`` of a tie.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.program import Affine, FloatArray, IntArray, LinearForm, WideForm

_INT32 = 2**31 - 1
_FAR = 2**62
LOW_BITS = 15
"""Low bits of a long multiplier that are multiplied apart."""

_CANDIDATES = 6
"""Multipliers tried on either side of the real one at each shift."""


def level(affine: Affine, acc: FloatArray | IntArray) -> IntArray:
    """Return the exact output value for accumulators (accumulators, channels, ...)."""
    shape = (-1,) + (1,) * (acc.ndim - 2)
    total = affine.offset.reshape(shape)
    for scale, part in zip(affine.scale, acc, strict=True):
        total = total + scale.reshape(shape) * part
    return np.clip(np.rint(total), affine.floor, affine.ceiling).astype(np.int64)


def find_thresholds(affine: Affine, acc_low: IntArray, acc_high: IntArray) -> IntArray:
    """Return (channels, ceiling - floor): the smallest accumulator in [acc_low, acc_high] of each level.

    Args:
        affine: A function of one accumulator with scales that are not negative.
        acc_low: (channels,) smallest reachable accumulator.
        acc_high: (channels,) largest. A level above its level gets the threshold ``acc_high + 1``.
    """
    levels = np.arange(affine.floor + 1, affine.ceiling + 1)
    low = np.repeat(acc_low[:, None], len(levels), axis=1)
    high = np.repeat(acc_high[:, None] + 1, len(levels), axis=1)
    # Bisection keeps: every accumulator below `low` is under the level; `high` reaches it or is out of range.
    while np.any(low < high):
        middle = (low + high) // 2
        reached = level(affine, middle[None]) >= levels
        high = np.where(reached & (low < high), middle, high)
        low = np.where(reached | (low >= high), low, middle + 1)
    return low


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


def _middle(smallest: IntArray, largest: IntArray) -> IntArray:
    """Return a number of each interval: its middle, or the bound of one that has only one."""
    middle = (smallest + largest) >> 1
    middle = np.where(smallest == -_FAR, np.where(largest == _FAR, 0, largest), middle)
    return np.where((largest == _FAR) & (smallest != -_FAR), smallest, middle)


def find_linear(affine: Affine, thresholds: IntArray, acc_low: IntArray, acc_high: IntArray) -> LinearForm:
    """Search, channel by channel, the smallest shift with a multiplier and offset that equal the thresholds.

    The form equals the thresholds on every accumulator in [acc_low, acc_high]. Forms that 32 bits hold are tried
    first, then those that need a long product.
    """
    worst = int(np.maximum(np.abs(acc_low), np.abs(acc_high)).max(initial=0))
    form = _search(affine, thresholds, (acc_low, acc_high), 31, _INT32)
    narrow = form.exact
    if not narrow.all():
        longer = _search(affine, thresholds, (acc_low, acc_high), 45, 2 ** multiplier_bits(worst))
        multiplier, offset, shift = (np.where(narrow, a, b) for a, b in zip(form.fields, longer.fields, strict=True))
        form = LinearForm(multiplier, offset, shift, exact=narrow | longer.exact, narrow=narrow)
    return form


def multiplier_bits(worst: int) -> int:
    """Return how long a multiplier may be for sums of that size, so that 32-bit arithmetic can do it in two parts."""
    return 29 - 2 * max(0, worst.bit_length() - LOW_BITS)


def _search(
    affine: Affine, thresholds: IntArray, acc: tuple[IntArray, IntArray], shifts: int, limit: int
) -> LinearForm:
    """Search shifts in ascending order; ``limit`` is the largest multiplier, and 32-bit products if it is INT32."""
    channels = np.arange(len(thresholds))
    multiplier, offset, shift = (np.zeros(len(channels), np.int64) for _ in range(3))
    found = np.zeros(len(channels), np.bool_)
    steps = np.arange(-_CANDIDATES, _CANDIDATES + 1)[:, None]
    for bits in range(shifts):
        if found.all():
            break
        centre = np.rint(affine.scale[0] * 2.0**bits)
        tried = np.maximum(np.where(centre < limit, centre, 0).astype(np.int64) + steps, 0)
        smallest, largest = offset_interval(thresholds, affine.floor, *acc, tried, bits)
        chosen = _middle(smallest, largest)
        fits = fits_32_bits(tried, chosen, *acc) if limit == _INT32 else (tried <= limit) & (np.abs(chosen) < 2**57)
        good = (smallest <= largest) & fits
        best, new = np.argmax(good, axis=0), good.any(axis=0) & ~found
        multiplier[new], offset[new] = tried[best, channels][new], chosen[best, channels][new]
        shift[new], found = bits, found | new
    return LinearForm(multiplier, offset, shift, exact=found, narrow=found & (limit == _INT32))


def fits_32_bits(multiplier: IntArray, offset: IntArray, acc_low: IntArray, acc_high: IntArray) -> NDArray[np.bool_]:
    """Return whether product and sum stay within 32 bits, of each channel, or of each candidate and channel."""
    fits = (np.abs(offset) <= _INT32) & (multiplier <= _INT32)
    for acc in (acc_low, acc_high):
        product = multiplier.astype(np.float64) * acc
        fits &= (np.abs(product) <= _INT32) & (np.abs(product + offset) <= _INT32)
    return np.asarray(fits)


_LOGIT_BITS = 29
_SHIFTS = (LOW_BITS, 44)


def low_bits(worst: int) -> int:
    """Return how many low bits of a multiplier are multiplied apart, so that 32-bit arithmetic is enough.

    With t low bits, acc M = (acc (M >> t)) 2^t + acc (M mod 2^t), and both products and their sums stay in 32 bits.

    Args:
        worst: The largest sum of the accumulators' magnitudes.
    """
    return min(LOW_BITS, 30 - max(worst.bit_length(), LOW_BITS))


def _shift_for(largest: float, bits: int) -> int:
    """Return the largest shift that keeps a multiplier of that size within its bits."""
    spare = _SHIFTS[1] if largest <= 0 else bits - int(np.ceil(np.log2(largest)))
    return int(np.clip(spare, *_SHIFTS))


def rounding_form(affine: Affine, acc_low: IntArray, acc_high: IntArray) -> WideForm:
    """Return the form of a rounded, clipped function of several accumulators, with a proven bound of its error."""
    worst = int(np.maximum(np.abs(acc_low), np.abs(acc_high)).sum(axis=0).max(initial=0))
    shift = _shift_for(float(np.abs(affine.scale).max()), multiplier_bits(worst))
    multiplier = np.rint(affine.scale * 2.0**shift).astype(np.int64)
    # An offset far outside the clipped range is as good as one just outside, and stays within its bits.
    reach = (np.abs(affine.scale) * np.maximum(np.abs(acc_low), np.abs(acc_high))).sum(axis=0)
    limit = reach + abs(affine.floor) + abs(affine.ceiling) + 2
    offset = np.rint((np.clip(affine.offset, -limit, limit) + 0.5) * 2.0**shift).astype(np.int64)
    error = float((worst + 1) * 2.0 ** -(shift + 1))
    return WideForm(multiplier, offset, shift, affine.floor, affine.ceiling, error)


def apply_wide(form: WideForm, acc: IntArray) -> IntArray:
    """Return the values of accumulators (accumulators, channels, ...)."""
    shape = (-1,) + (1,) * (acc.ndim - 2)
    total = form.offset.reshape(shape)
    for multiplier, part in zip(form.multiplier, acc, strict=True):
        total = total + multiplier.reshape(shape) * part
    value = total >> form.shift
    return value if form.low is None or form.high is None else np.clip(value, form.low, form.high)


def wide_range(form: WideForm, acc_low: IntArray, acc_high: IntArray) -> tuple[IntArray, IntArray]:
    """Return the smallest and largest value of each channel over the accumulators' ranges."""
    falling = form.multiplier < 0
    low = apply_wide(form, np.where(falling, acc_high, acc_low))
    return low, apply_wide(form, np.where(falling, acc_low, acc_high))


def logits_form(scale: FloatArray, offset: FloatArray, acc_low: IntArray, acc_high: IntArray) -> tuple[WideForm, float]:
    """Return the integer logits of real ones, scale * acc + offset, and the real logit of an integer 1.

    Where all channels have one scale and the offsets are multiples of it, as with a bias quantized to the
    accumulator's scale, the logits are the accumulators plus integers and nothing is rounded. Otherwise the largest
    logit takes about 29 bits and ``error`` bounds the rounding, in integer logits.
    """
    first = float(scale[0, 0])
    if len(scale) == 1 and first > 0 and np.all(scale == first):
        steps = offset / first
        whole = np.rint(steps)
        if np.all(np.abs(steps - whole) <= 0.01) and np.all(np.abs(whole) < 2.0**30):
            unit = np.ones((1, len(whole)), np.int64)
            return WideForm(unit, whole.astype(np.int64), 0, None, None, float(np.abs(steps - whole).max())), first
    worst = np.maximum(np.abs(acc_low), np.abs(acc_high))
    largest = float(((np.abs(scale) * worst).sum(axis=0) + np.abs(offset)).max())
    bits = int(worst.sum(axis=0).max()).bit_length()
    step = max(largest, 2.0**-100) / 2.0 ** (_LOGIT_BITS - max(0, bits - LOW_BITS))
    # Multipliers keep to their bits too, where sums are small.
    step = max(step, float(np.abs(scale).max()) / 2.0 ** (29 - LOW_BITS))
    multiplier = np.rint(scale / step * 2.0**LOW_BITS).astype(np.int64)
    bias = np.rint(offset / step * 2.0**LOW_BITS).astype(np.int64)
    error = float((worst.sum(axis=0).max() + 1) * 2.0 ** -(LOW_BITS + 1) + 1)
    return WideForm(multiplier, bias, LOW_BITS, None, None, error), step
