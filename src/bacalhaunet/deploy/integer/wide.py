"""Requantizers with long multipliers: for sums of two scales, and for logits.

    v = (sum_g acc_g M_g + b) >> p,  M_g = round(scale_g 2^p),  b = round((offset + 1/2) 2^p)

is the real function rounded to the nearest integer, except within ``error`` of a tie.
"""

from __future__ import annotations

import numpy as np

from bacalhaunet.deploy.integer.program import Affine, FloatArray, IntArray, WideForm
from bacalhaunet.deploy.integer.thresholds import LOW_BITS, multiplier_bits

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
