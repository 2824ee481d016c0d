r"""Where in time and frequency a capture holds more than noise.

.. math:: \bar P[t, f] > N \; \gamma^{-1}(1 - p; K) \qquad p = p_{capture} / \text{cells}

A cell, averaged with its neighbours, is occupied if noise alone would come as high with probability `p` only (the
energy detector: Urkowitz, Proc. IEEE 55 (1967) 523); K is the number of independent periodograms in the average.
Occupied cells that touch are one region.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.noise_floor import noise_floor
from bacalhaunet.classify.front_end.scipy_extra import scipy_module
from bacalhaunet.classify.front_end.spectrogram import BINS, Spectrogram, smoothing_gain

FALSE_ALARMS = 1e-3
"""Cells above the threshold expected in a capture of noise alone."""

_LEAST_RISE = 1.6
"""Power over the floor that a region has at least: a long capture shows ripples of a receiver as well."""

_LEAST_CELLS = 6
_BLUR = 3
_SHARED = 0.5
_LEVEL = 0.5


class Region(NamedTuple):
    """A signal's place.

    Attributes:
        start: First sample.
        stop: Sample after the last.
        low: Lower edge in cycles a sample.
        high: Upper edge.
        floor: Power of the noise over a band of one cycle a sample.
        cell: Samples by which the first and the last can be wrong.
    """

    start: int
    stop: int
    low: float
    high: float
    floor: float
    cell: int


class _Box(NamedTuple):
    first: int
    last: int
    low: int
    high: int


def regions(spectra: Spectrogram) -> list[Region]:
    """Return the occupied regions in order of their start; none in noise."""
    floor = noise_floor(spectra.power, spectra.averages)
    boxes = _merged(_boxes(_occupied(spectra, floor)))
    found = [_region(spectra, box, floor) for box in boxes]
    return sorted(region for region in found if region is not None)


def _occupied(spectra: Spectrogram, floor: float) -> NDArray[np.bool_]:
    rows = min(_BLUR, len(spectra.power))
    blurred = scipy_module("ndimage").uniform_filter(spectra.power, (rows, _BLUR), mode=("nearest", "wrap"))
    averages = spectra.averages * rows * smoothing_gain(_BLUR)
    probability = FALSE_ALARMS / blurred.size
    rise = float(scipy_module("stats").gamma.isf(probability, averages, scale=1 / averages))
    return np.asarray(blurred > floor * max(rise, _LEAST_RISE), np.bool_)


def _boxes(occupied: NDArray[np.bool_]) -> list[_Box]:
    ndimage = scipy_module("ndimage")
    labels, count = ndimage.label(occupied)
    sizes: Any = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    least = min(_LEAST_CELLS, 2 * len(occupied))
    slices = ndimage.find_objects(labels)
    return [
        _Box(rows.start, rows.stop, columns.start, columns.stop)
        for (rows, columns), size in zip(slices, sizes, strict=True)
        if size >= least
    ]


def _merged(boxes: list[_Box]) -> list[_Box]:
    """Join boxes of which one lies half or more in the other: pieces of one ragged signal."""
    boxes = sorted(boxes, key=lambda box: -(box.last - box.first) * (box.high - box.low))
    kept: list[_Box] = []
    for box in boxes:
        area = (box.last - box.first) * (box.high - box.low)
        for k, other in enumerate(kept):
            tall = min(box.last, other.last) - max(box.first, other.first)
            wide = min(box.high, other.high) - max(box.low, other.low)
            if tall > 0 and wide > 0 and tall * wide >= _SHARED * area:
                kept[k] = _Box(*(f(a, b) for f, a, b in zip((min, max, min, max), box, other, strict=True)))
                break
        else:
            kept.append(box)
    return kept


def _region(spectra: Spectrogram, box: _Box, floor: float) -> Region | None:
    """Return a box's region with edges from the averaged spectrum and times from the power in the band."""
    mean = spectra.power[box.first : box.last].mean(axis=0)
    averages = spectra.averages * (box.last - box.first)
    low, high = _edges(mean, box, floor * (1 + max(0.15, 4 / np.sqrt(averages))))
    excess = spectra.power[box.first : box.last, low:high].mean(axis=1) - floor
    loud = np.flatnonzero(excess > _LEVEL * np.median(excess))
    if not len(loud):
        return None
    first, last = box.first + int(loud[0]), box.first + int(loud[-1]) + 1
    return Region(
        spectra.start + first * spectra.cell,
        spectra.start + last * spectra.cell,
        (low - 0.5) / BINS - 0.5,
        (high - 0.5) / BINS - 0.5,
        floor,
        spectra.cell,
    )


def _edges(mean: NDArray[np.float32], box: _Box, threshold: float) -> tuple[int, int]:
    """Widen or narrow a box's columns to where the mean spectrum crosses the threshold."""
    peak = box.low + int(mean[box.low : box.high].argmax())
    low, high = min(box.low + 1, peak), max(box.high - 1, peak + 1)
    while low < peak and mean[low] <= threshold:
        low += 1
    while high - 1 > peak and mean[high - 1] <= threshold:
        high -= 1
    while low > 0 and low > box.low - _BLUR and mean[low - 1] > threshold:
        low -= 1
    while high < BINS and high < box.high + _BLUR and mean[high] > threshold:
        high += 1
    return low, high
