"""Searches the integer form of a real function: the cheapest that equals its thresholds, or long multipliers.

    one accumulator       (acc M + b) >> p, equal to the thresholds on every reachable accumulator, smallest p first
    several, and logits   (sum_g acc_g M_g + b) >> p,  M_g = round(scale_g 2^p),  b = round((offset + 1/2) 2^p),

which is the real function rounded to the nearest integer, except within ``error`` of a tie.
"""

from __future__ import annotations

import numpy as np

from bacalhaunet.deploy.integer.program import FloatArray, IntArray
from bacalhaunet.deploy.integer.requantizers import (
    LOW_BITS,
    Affine,
    LinearForm,
    Thresholds,
    WideForm,
    fits_32_bits,
    offset_interval,
)

_INT32 = 2**31 - 1
_FAR = 2**62
_CANDIDATES = 6
"""Multipliers tried on either side of the real one at each shift."""


def _middle(smallest: IntArray, largest: IntArray) -> IntArray:
    """Return a number of each interval: its middle, or the bound of one that has only one."""
    middle = (smallest + largest) >> 1
    middle = np.where(smallest == -_FAR, np.where(largest == _FAR, 0, largest), middle)
    return np.where((largest == _FAR) & (smallest != -_FAR), smallest, middle)


def requantizer_for(affine: Affine, acc_low: IntArray, acc_high: IntArray) -> Thresholds | WideForm:
    """Return the integer form of a rounded function, of accumulators in (accumulators, channels) bounds."""
    if len(acc_low) > 1:
        return rounding_form(affine, acc_low, acc_high)
    values = affine.thresholds(acc_low[0], acc_high[0])
    return Thresholds(values, affine.floor, find_linear(affine, values, acc_low[0], acc_high[0]))


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
    around = np.arange(-_CANDIDATES, _CANDIDATES + 1)[:, None]
    for bits in range(shifts):
        if found.all():
            break
        centre = np.rint(affine.scale[0] * 2.0**bits)
        tried = np.maximum(np.where(centre < limit, centre, 0).astype(np.int64) + around, 0)
        smallest, largest = offset_interval(thresholds, affine.floor, *acc, tried, bits)
        chosen = _middle(smallest, largest)
        fits = fits_32_bits(tried, chosen, *acc) if limit == _INT32 else (tried <= limit) & (np.abs(chosen) < 2**57)
        good = (smallest <= largest) & fits
        best, new = np.argmax(good, axis=0), good.any(axis=0) & ~found
        multiplier[new], offset[new] = tried[best, channels][new], chosen[best, channels][new]
        shift[new], found = bits, found | new
    return LinearForm(multiplier, offset, shift, exact=found, narrow=found & (limit == _INT32))


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


def logits_form(scale: FloatArray, offset: FloatArray, acc_low: IntArray, acc_high: IntArray) -> tuple[WideForm, float]:
    """Return the integer logits of real ones, scale * acc + offset, and the real logit of an integer 1.

    Where all channels have one scale and the offsets are multiples of it, as with a bias quantized to the
    accumulator's scale, the logits are the accumulators plus integers and nothing is rounded. Otherwise the largest
    logit takes about 29 bits and ``error`` bounds the rounding, in integer logits.
    """
    first = float(scale[0, 0])
    if len(scale) == 1 and first > 0 and np.all(scale == first):
        units = offset / first
        whole = np.rint(units)
        if np.all(np.abs(units - whole) <= 0.01) and np.all(np.abs(whole) < 2.0**30):
            ones = np.ones((1, len(whole)), np.int64)
            return WideForm(ones, whole.astype(np.int64), 0, None, None, float(np.abs(units - whole).max())), first
    worst = np.maximum(np.abs(acc_low), np.abs(acc_high))
    largest = float(((np.abs(scale) * worst).sum(axis=0) + np.abs(offset)).max())
    bits = int(worst.sum(axis=0).max()).bit_length()
    unit = max(largest, 2.0**-100) / 2.0 ** (_LOGIT_BITS - max(0, bits - LOW_BITS))
    # Multipliers keep to their bits too, where sums are small.
    unit = max(unit, float(np.abs(scale).max()) / 2.0 ** (29 - LOW_BITS))
    multiplier = np.rint(scale / unit * 2.0**LOW_BITS).astype(np.int64)
    bias = np.rint(offset / unit * 2.0**LOW_BITS).astype(np.int64)
    error = float((worst.sum(axis=0).max() + 1) * 2.0 ** -(LOW_BITS + 1) + 1)
    return WideForm(multiplier, bias, LOW_BITS, None, None, error), unit
