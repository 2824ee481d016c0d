r"""Power over time and frequency, averaged as far as the length of the capture asks for.

.. math:: P[t, f] = \frac{1}{M \sum w^2} \sum_{m=1}^{M} \left| \sum_n w[n]\, x[n + (t M + m) N / 2]\,
          e^{-2 \pi j f n / N} \right|^2

Welch's method (IEEE Trans. Audio Electroacoust. 15 (1967) 70), with M segments of N samples, half overlapping, in each
cell of time. White noise of power `\sigma^2` has `P = \sigma^2` in the mean, with the spread of a gamma variable of
``averages`` degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.engines import cores
from bacalhaunet.classify.front_end.settings import scipy_module
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


def window() -> NDArray[np.float32]:
    """Return Blackman's window: side lobes 58 dB down, so that strong signals do not hide weak neighbours."""
    angle = 2 * np.pi * np.arange(BINS) / BINS
    return np.asarray(0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle), np.float32)


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
    step = max(1, _SAMPLES_AT_ONCE // cell)

    def part(first: int) -> int:
        last = min(first + step, cells)
        begin = start + first * cell
        # Half a segment more than the cells, so that every cell has all its segments.
        power[first:last] = _cells(recording.read(begin, start + last * cell + _HOP), cell, last - first)
        return (last - first) * cell

    for done in prefetch((partial(part, first) for first in range(0, cells, step)), cores()):
        if progress is not None:
            progress(done)
    shared = float(np.dot(window()[_HOP:], window()[:_HOP]) / np.dot(window(), window())) ** 2
    return Spectrogram(power, start, cell, (cell // _HOP) / (1 + 2 * shared))


def _cells(samples: NDArray[np.complex64], cell: int, cells: int) -> NDArray[np.float32]:
    fft = scipy_module("fft")
    taps = window() / np.sqrt(np.sum(window() ** 2))
    segments = np.lib.stride_tricks.sliding_window_view(samples, BINS)[::_HOP]
    power = np.empty((cells, BINS), np.float32)
    count = cell // _HOP
    for k in range(cells):
        spectra = fft.fft(segments[k * count : (k + 1) * count] * taps, axis=1)
        power[k] = np.fft.fftshift((spectra.real**2 + spectra.imag**2).mean(axis=0))
    return power
