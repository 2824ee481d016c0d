"""Whether the requantizers of a program that was read from a file are what they claim to be.

Linear forms equal their thresholds on every reachable accumulator, 64-bit forms stay in 64 bits, and the values of
either lie in the range of the tensor they are written to.
"""

from __future__ import annotations

import numpy as np

from bacalhaunet.deploy.integer.claims import require, whole
from bacalhaunet.deploy.integer.program import Conv, LinearForm, Tensor, Thresholds, WideForm
from bacalhaunet.deploy.integer.thresholds import LOW_BITS, fits_32_bits, offset_interval
from bacalhaunet.deploy.integer.wide import wide_range

_MOST_SHIFT = 45
_MOST_MULTIPLIER = 2**31
_MOST_SUM = 2**62
_MOST_LEVEL = 2.0**30
"""Real levels, before they are clipped, are rounded to 32 bits by some kernels."""


def check_affine(layer: Conv, output: Tensor, *, last: bool) -> None:
    """Check the real function of a layer, which the forms of an engine are searched by.

    Raises:
        ValueError: If shapes, numbers or levels do not fit.
    """
    affine, name = layer.affine, layer.name
    fits = affine.scale.shape == (layer.accumulators, output.channels) and affine.offset.shape == (output.channels,)
    require(fits, f"{name}: shapes of its real function")
    require(np.isfinite(affine.scale).all() and np.isfinite(affine.offset).all(), f"{name}: its real function")
    levels = whole(affine.floor, -(2**31), 2**31) and whole(affine.ceiling, affine.floor, 2**31)
    inside = levels and output.format_low <= affine.floor and affine.ceiling <= output.format_high
    require(inside or (levels and last), f"{name}: levels {affine.floor} to {affine.ceiling}")


def check_thresholds(layer: Conv, form: Thresholds, output: Tensor) -> None:
    """Check a requantizer of one accumulator; its thresholds were found by the real function.

    Raises:
        ValueError: If shapes do not fit, it can decrease, a value is out of range or the linear form is another.
    """
    affine, name, channels = layer.affine, layer.name, np.arange(output.channels)
    require(layer.accumulators == 1 and (affine.scale >= 0).all(), f"{name}: a requantizer that can decrease")
    require(whole(form.base, affine.floor, affine.floor), f"{name}: base {form.base}")
    reach = affine.scale[0] * np.maximum(np.abs(layer.acc_low[0]), np.abs(layer.acc_high[0])) + np.abs(affine.offset)
    require((reach < _MOST_LEVEL).all(), f"{name}: levels beyond 32 bits")
    require(form.values.shape == (output.channels, affine.ceiling - affine.floor), f"{name}: shape of its thresholds")
    require((np.diff(form.values, axis=1) >= 0).all(), f"{name}: thresholds that fall")
    low, high = (form.base + (form.values <= ends[channels, None]).sum(axis=1) for ends in _ends(layer))
    inside = (output.low <= low).all() and (high <= output.high).all()
    require(inside, f"{name}: values beyond their range")
    _check_linear(layer, form, form.linear)


def _ends(layer: Conv) -> tuple[np.ndarray, np.ndarray]:
    return layer.acc_low[0], layer.acc_high[0]


def _check_linear(layer: Conv, thresholds: Thresholds, form: LinearForm) -> None:
    name, shape = layer.name, layer.acc_low[0].shape
    require(all(one.shape == shape for one in (*form.fields, form.exact, form.narrow)), f"{name}: its linear form")
    require(form.exact.dtype == form.narrow.dtype == np.bool_, f"{name}: its linear form")
    require((form.shift >= 0).all() and (form.shift <= _MOST_SHIFT).all(), f"{name}: shifts of its linear form")
    require((form.multiplier >= 0).all() and (form.multiplier < _MOST_MULTIPLIER).all(), f"{name}: multipliers")
    require((form.offset > -_MOST_SUM).all() and (form.offset < _MOST_SUM).all(), f"{name}: offsets")
    narrow = fits_32_bits(form.multiplier, form.offset, *_ends(layer))
    require((form.exact | ~form.narrow).all() and narrow[form.narrow].all(), f"{name}: a linear form beyond 32 bits")
    for shift in np.unique(form.shift[form.exact]):
        at = np.flatnonzero(form.exact & (form.shift == shift))
        low, high = (one[at] for one in _ends(layer))
        tried = form.multiplier[at][None]
        smallest, largest = offset_interval(thresholds.values[at], thresholds.base, low, high, tried, int(shift))
        equal = (smallest[0] <= form.offset[at]) & (form.offset[at] <= largest[0])
        require(equal.all(), f"{name}: a linear form that is not its thresholds")


def check_wide(layer: Conv, form: WideForm, output: Tensor, *, last: bool) -> None:
    """Check a requantizer with long multipliers.

    Raises:
        ValueError: If shapes do not fit, its numbers leave 64 bits, or a value is out of range.
    """
    name, affine = layer.name, layer.affine
    fits = form.multiplier.shape == layer.acc_low.shape and form.offset.shape == (output.channels,)
    require(fits, f"{name}: shapes of its 64-bit form")
    ends = np.maximum(np.abs(layer.acc_low), np.abs(layer.acc_high)).astype(object)
    multiplier, offset = (np.abs(one.astype(object)) for one in (form.multiplier, form.offset))
    sums = (multiplier * ends).sum(axis=0) + offset
    require(multiplier.max() < _MOST_MULTIPLIER and max(sums) < _MOST_SUM, f"{name}: numbers beyond 64 bits")
    if last:
        require(form.low is None and form.high is None and whole(form.shift, 0, _MOST_SHIFT), f"{name}: its logits")
    else:
        levels = whole(form.low, affine.floor, affine.floor) and whole(form.high, affine.ceiling, affine.ceiling)
        require(levels and whole(form.shift, LOW_BITS, _MOST_SHIFT), f"{name}: levels or shift")
    low, high = wide_range(form, layer.acc_low, layer.acc_high)
    inside = (output.low <= low).all() and (high <= output.high).all()
    require(inside, f"{name}: values beyond their range")
