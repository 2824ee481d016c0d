r"""Where in time and frequency a capture holds more than noise.

The power over time and frequency is averaged as far as the length of the capture asks for:

.. math:: P[t, f] = \frac{1}{M \sum w^2} \sum_{m=1}^{M} \left| \sum_n w[n]\, x[n + (t M + m) N / 2]\,
          e^{-2 \pi j f n / N} \right|^2

Welch's method (IEEE Trans. Audio Electroacoust. 15 (1967) 70), with M segments of N samples, half overlapping, in each
cell of time. White noise of power `\sigma^2` has `P = \sigma^2` in the mean, with the spread of a gamma variable of
``averages`` degrees. Cells that hold more are occupied:

.. math:: \bar P[t, f] > N \; \gamma^{-1}(1 - p; K) \qquad p = p_{capture} / \text{cells}

A cell, averaged with its neighbours, is occupied if noise alone would come as high with probability `p` only (the
energy detector: Urkowitz, Proc. IEEE 55 (1967) 523); K is the number of independent periodograms in the average.
Occupied cells that touch are one region. The level of the noise, in a spectrogram that also holds signals, is

.. math:: \hat N = \arg\max_{\log p} h(\log p)

The density of the logarithm of a gamma variable peaks at its mean, so the floor is where the histogram of the cells'
levels in dB peaks. Signals with ramps and skirts spread their cells over many levels; a flat signal on the air all the
time makes a peak of its own, so the lowest peak is taken that is at least a quarter as high as the highest. The mean
over the cells near that peak then replaces it, as in consecutive mean excision (Henttu and Aromaa 2002; Vartiainen,
Lehtomäki and Saarnisaari 2005). The noise is taken to be white over most of the band; filter edges of a receiver are
allowed to lie lower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from bacalhaunet.classify.engines import cores
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.prefetch import prefetch

BINS = 256
"""Frequencies, and samples of a segment."""

_HOP = BINS // 2
_SHORTEST_CELL = 1024
_MOST_CELLS = 16384
SHORTEST = _SHORTEST_CELL + _HOP
"""Samples of the shortest stretch that has a spectrogram."""

_SAMPLES_AT_ONCE = 1 << 20
_SEGMENT_SAMPLES_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class Spectrogram:
    """Power over time and frequency.

    Attributes:
        power: float32 (cells, BINS), of white noise its power; frequency -0.5 to 0.5 cycles a sample.
        start: First sample of the first cell.
        cell: Samples of a cell.
        averages: Independent periodograms that a cell amounts to.
    """

    power: NDArray[np.float32]
    start: int
    cell: int
    averages: float


@lru_cache(maxsize=4)
def window(bins: int = BINS) -> NDArray[np.float32]:
    """Return Blackman's window: side lobes 58 dB down, so that strong signals do not hide weak neighbours."""
    angle = 2 * np.pi * np.arange(bins) / bins
    return np.asarray(0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle), np.float32)


def segment_powers(
    samples: NDArray[np.complex64], bins: int = BINS, hop_length: int | None = None
) -> NDArray[np.float32]:
    """Return the periodogram of each ``bins`` samples, float32 (segments, bins), of white noise its power.

    Args:
        samples: complex64 (N,); what is left after the last whole segment is left out.
        bins: Samples of a segment.
        hop_length: Samples from one segment's start to the next; None for ``bins``, segments side by side.
    """
    fft, half = scipy.fft, bins // 2
    taps = window(bins) / np.sqrt(np.sum(window(bins) ** 2))
    segments = np.lib.stride_tricks.sliding_window_view(samples, bins)[:: hop_length or bins]
    out = np.empty((len(segments), bins), np.float32)
    count = max(1, _SEGMENT_SAMPLES_AT_ONCE // bins)
    for first in range(0, len(segments), count):  # pieces that stay in the processor's cache
        spectra = fft.fft(segments[first : first + count] * taps, axis=1, overwrite_x=True)
        power = spectra.real**2 + spectra.imag**2
        out[first : first + count, :half] = power[:, half:]
        out[first : first + count, half:] = power[:, :half]
    return out


def smoothing_gain(bins: int) -> float:
    """Return how many independent bins the mean of ``bins`` neighbours amounts to: neighbours share the window."""
    squares = window().astype(float) ** 2
    phases = np.exp(-2j * np.pi * np.outer(np.arange(bins), np.arange(BINS)) / BINS)
    shared = np.abs(phases @ squares / squares.sum()) ** 2
    total = bins + 2 * sum((bins - k) * shared[k] for k in range(1, bins))
    return float(bins**2 / total)


def cell_length(count: int) -> int:
    """Return the samples of a cell: 1024, and a power of two above where there would be more than 16384 cells."""
    cell = _SHORTEST_CELL
    while count > cell * _MOST_CELLS:
        cell *= 2
    return cell


def spectrogram(
    recording: Recording, start: int, stop: int, progress: Callable[[int], None] | None = None
) -> Spectrogram:
    """Return the spectrogram of samples ``start`` to ``stop - 1``, in bounded memory at any length, on all cores.

    There are 1152 samples or more; those left over after the last whole cell are left out.

    Args:
        recording: The capture.
        start: First sample.
        stop: The first sample after its end.
        progress: Gets the number of samples of each part that is done.
    """
    cell = cell_length(stop - start)
    cells = (stop - start - _HOP) // cell
    power = np.empty((cells, BINS), np.float32)
    at_once = max(1, _SAMPLES_AT_ONCE // cell)

    def part(first: int) -> int:
        last = min(first + at_once, cells)
        begin = start + first * cell
        # Half a segment more than the cells, so that every cell has all its segments.
        segments = segment_powers(recording.read(begin, start + last * cell + _HOP), BINS, _HOP)
        power[first:last] = segments.reshape(last - first, -1, BINS).mean(axis=1)
        return (last - first) * cell

    for done in prefetch((partial(part, first) for first in range(0, cells, at_once)), cores()):
        if progress is not None:
            progress(done)
    shared = float(np.dot(window()[_HOP:], window()[:_HOP]) / np.dot(window(), window())) ** 2
    return Spectrogram(power, start, cell, (cell // _HOP) / (1 + 2 * shared))


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
    gamma = scipy.stats.gamma
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
    places = [_region(spectra, box, floor) for box in boxes]
    return sorted(region for region in places if region is not None)


def _occupied(spectra: Spectrogram, floor: float) -> NDArray[np.bool_]:
    rows = min(_BLUR, len(spectra.power))
    blurred = scipy.ndimage.uniform_filter(spectra.power, (rows, _BLUR), mode=("nearest", "wrap"))
    averages = spectra.averages * rows * smoothing_gain(_BLUR)
    probability = FALSE_ALARMS / blurred.size
    rise = float(scipy.stats.gamma.isf(probability, averages, scale=1 / averages))
    return np.asarray(blurred > floor * max(rise, _LEAST_RISE), np.bool_)


def _boxes(occupied: NDArray[np.bool_]) -> list[_Box]:
    ndimage = scipy.ndimage
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
