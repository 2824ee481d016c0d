r"""Spectra of a block of a stream, fast enough for all of it.

.. math:: P[t, f] = \frac{1}{M \sum w^2} \sum_{m=1}^{M} \left| \sum_n w[n]\, x[n + (t M + m) N]\,
          e^{-2 \pi j f n / N} \right|^2

Bartlett's method (Nature 161 (1948) 686) with Blackman's window: the segments do not overlap as in
``front_end.spectrogram``, which halves the work at the price of some spread.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.scipy_extra import scipy_module
from bacalhaunet.classify.front_end.spectrogram import BINS, Spectrogram

WATERFALL_BINS = 1024
SHORTEST = 4096
"""Samples of the shortest block that is looked at."""

_LONGEST_S = 0.3
_BLOCK = (1 << 15, 1 << 18)
_CELLS = 64
_SHORTEST_CELL = 1024
_SEGMENTS_AT_ONCE = 1 << 17


def block_length(rate: float) -> int:
    """Return the samples of a block at a sample rate: a power of two, up to 0.3 s and 32768 to 262144 samples."""
    return int(np.clip(1 << int(np.log2(max(1.0, _LONGEST_S * rate))), *_BLOCK))


def block_spectrogram(samples: NDArray[np.complex64]) -> Spectrogram:
    """Return the spectrogram of a block in which ``regions`` looks for signals, without what is left after its cells.

    Args:
        samples: complex64 (N,), 4096 or more.
    """
    cell = max(_SHORTEST_CELL, len(samples) // _CELLS // _SHORTEST_CELL * _SHORTEST_CELL)
    cells = len(samples) // cell
    power = segment_powers(samples[: cells * cell], BINS).reshape(cells, -1, BINS).mean(axis=1)
    return Spectrogram(power, 0, cell, cell / BINS)


def waterfall_rows(samples: NDArray[np.complex64], rows: int) -> NDArray[np.float32]:
    """Return power as float32 (rows, 1024), frequency -0.5 to 0.5 cycles a sample, each row from all its samples.

    Args:
        samples: complex64 (N,), 1024 times ``rows`` or more.
        rows: Stretches of time.
    """
    power = segment_powers(samples[: len(samples) // WATERFALL_BINS * WATERFALL_BINS], WATERFALL_BINS)
    return np.stack([part.mean(axis=0) for part in np.array_split(power, rows)])


def segment_powers(samples: NDArray[np.complex64], bins: int) -> NDArray[np.float32]:
    """Return the periodogram of each ``bins`` samples, float32 (N / bins, bins), of white noise its power."""
    fft, taps = scipy_module("fft"), _window(bins)
    segments = samples.reshape(-1, bins)
    out = np.empty((len(segments), bins), np.float32)
    step, half = max(1, _SEGMENTS_AT_ONCE // bins), bins // 2
    for first in range(0, len(segments), step):  # pieces that stay in the processor's cache
        spectra = fft.fft(segments[first : first + step] * taps, axis=1, overwrite_x=True)
        power = spectra.real**2 + spectra.imag**2
        out[first : first + step, :half] = power[:, half:]
        out[first : first + step, half:] = power[:, :half]
    return out


@lru_cache(maxsize=4)
def _window(bins: int) -> NDArray[np.float32]:
    angle = 2 * np.pi * np.arange(bins) / bins
    window = 0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle)
    return np.asarray(window / np.sqrt(np.sum(window**2)), np.float32)
