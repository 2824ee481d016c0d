r"""The level of the noise in a spectrogram that also holds signals.

.. math:: \hat N = \arg\max_{\log p} h(\log p)

The mean of K periodograms of white noise is a gamma variable, and the density of the logarithm of a gamma variable
peaks at its mean. So the floor is where the histogram of the cells' levels in dB peaks. Signals with ramps and skirts
spread their cells over many levels; a flat signal on the air all the time makes a peak of its own, so the lowest peak
is taken that is at least a quarter as high as the highest. The mean over the cells near that peak then replaces it, as
in consecutive mean excision (Henttu and Aromaa 2002; Vartiainen, Lehtomäki and Saarnisaari 2005).

The noise is taken to be white over most of the band; filter edges of a receiver are allowed to lie lower.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.scipy_extra import scipy_module

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
