r"""Where in time and frequency a capture holds more than noise.

.. math:: \bar P[t, f] > N \; \gamma^{-1}(1 - p; K) \qquad p = p_{capture} / \text{cells}

A cell, averaged with its neighbours, is occupied if noise alone would come as high with probability `p` only (the
energy detector: Urkowitz, Proc. IEEE 55 (1967) 523); K is the number of independent periodograms in the average.
Occupied cells that touch are one region.

The level of the noise in a spectrogram that also holds signals.

.. math:: \hat N = \arg\max_{\log p} h(\log p)

The mean of K periodograms of white noise is a gamma variable, and the density of the logarithm of a gamma variable
peaks at its mean. So the floor is where the histogram of the cells' levels in dB peaks. Signals with ramps and skirts
spread their cells over many levels; a flat signal on the air all the time makes a peak of its own, so the lowest peak
is taken that is at least a quarter as high as the highest. The mean over the cells near that peak then replaces it, as
in consecutive mean excision (Henttu and Aromaa 2002; Vartiainen, Lehtomäki and Saarnisaari 2005).

The noise is taken to be white over most of the band; filter edges of a receiver are allowed to lie lower.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.settings import scipy_module
from bacalhaunet.classify.front_end.spectrogram import BINS, Spectrogram, smoothing_gain

_STEP_DB = 0.1
_LOWEST_PEAK = 0.25
_EXCISION_PASSES = 4
_TINY = 1e-30


def noise_floor(power: NDArray[np.float32], averages: float) -> float:
    """Return the power of the noise, at least 1e-30.

    Args:
        power: Mean power of cells, any shape.
        averages: Independent periodograms in each cell, K above.
    """
    levels = 10 * np.log10(np.maximum(power.ravel(), _TINY))
    low, high = float(levels.min()), float(levels.max())
    spread = 4.34 / np.sqrt(averages)
    if high - low < _STEP_DB:
        return float(10 ** (low / 10))
    counts, edges = np.histogram(levels, bins=int(np.ceil((high - low) / _STEP_DB)) + 1, range=(low, high + _STEP_DB))
    kernel = np.exp(-0.5 * (np.arange(-4 * spread, 4 * spread + _STEP_DB, _STEP_DB) / spread) ** 2)
    smooth = np.convolve(counts, kernel, "same") if len(kernel) <= len(counts) else counts.astype(float)
    padded = np.concatenate([[-1.0], smooth, [-1.0]])
    peaks = np.flatnonzero((padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:]))
    lowest = peaks[smooth[peaks] >= _LOWEST_PEAK * smooth.max()][0]
    return _excised(power.ravel(), float(10 ** ((edges[lowest] + _STEP_DB / 2) / 10)), averages)


def _excised(power: NDArray[np.float32], floor: float, averages: float) -> float:
    """Replace the floor by the mean of the cells that can be noise at that floor, corrected for the cut tails."""
    gamma = scipy_module("stats").gamma
    low, high = (float(x) for x in gamma.ppf([0.005, 0.995], averages, scale=1 / averages))
    within = 0.99
    kept_mean = float(np.diff(gamma.cdf([low, high], averages + 1, scale=1 / averages))[0]) / within
    for _ in range(_EXCISION_PASSES):
        kept = power[(power > low * floor) & (power < high * floor)]
        if not len(kept):
            break
        floor = float(kept.mean(dtype=np.float64)) / kept_mean
    return max(floor, _TINY)


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
        stop: First sample after its end.
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
