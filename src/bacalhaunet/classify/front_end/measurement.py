r"""Where a signal begins and ends, and where its band lies, measured closely.

When it begins and ends, to a few symbols:

.. math:: \hat m = \arg\min_m \sum_{n < m} \left( \log N + \frac{p[n]}{N} \right)
          + \sum_{n \ge m} \left( \log S + \frac{p[n]}{S} \right)

The most likely place of a change from power N to power S of complex Gaussian samples (Page, Biometrika 41 (1954) 100;
Basseville and Nikiforov, Detection of Abrupt Changes, 1993, section 2.6).

Centre and width come from the shape of the spectrum.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.channel import Channel
from bacalhaunet.classify.front_end.symbol_rate import (
    parabola,
)

_LISTENED = 1 << 16
"""Samples from which the signal's power is taken."""


def change_point(power: NDArray[np.floating], before: float, after: float) -> int:
    """Return the most likely m of a change from mean power ``before`` to ``after``, from 0 to the length."""
    gain = np.log(before / after) + power.astype(float) * (1 / before - 1 / after)
    from_there_on = np.cumsum(gain[::-1])[::-1]
    return int(np.argmax(np.append(from_there_on, 0.0)))


def burst_edges(channel: Channel, noise: float, reach: int) -> tuple[int, int]:
    """Return the first sample, in the capture, of the signal in a channel, and the first one after its end.

    Args:
        channel: The signal's band, from the first to the last sample that were found coarsely.
        noise: Power of the noise in the band.
        reach: Samples of the capture by which the coarse edges can be wrong.

    Returns:
        The coarse edges where the signal is not louder than the noise.
    """
    ratio = float(channel.ratio)
    around = round(reach * ratio)
    skipped = min(around, channel.count // 3)
    inner = channel.read(skipped, min(channel.count - skipped, skipped + _LISTENED))
    loud = float(np.mean(np.abs(inner) ** 2))
    if not loud > 2 * noise:
        return channel.start, channel.stop
    width = min(2 * around, around + channel.count // 2)
    head = np.abs(channel.read(-around, width - around)) ** 2
    tail = np.abs(channel.read(channel.count + around - width, channel.count + around)) ** 2
    first = change_point(head, noise, loud) - around
    last = channel.count + around - change_point(tail[::-1], noise, loud)
    if not first < last:
        return channel.start, channel.stop
    start = channel.start + int(np.ceil(first / ratio))
    stop = channel.start + int(last / ratio)
    return max(start, 0), min(max(stop, start + 1), len(channel.recording))


_BINS_IN_BAND = 64
_SKIRTS = 0.7
_SYMMETRY_REACH = 0.08
_SYMMETRY_STEPS = 161
_LEAST_RISE = 0.3
_SURE = 4.0
_LOWEST_SKIRT = 1e-3


def balance(samples: NDArray[np.complex64], width: float, noise: float) -> float:
    """Return the centre of gravity of the spectrum above the noise, in cycles a sample.

    Args:
        samples: The signal near zero frequency.
        width: Width of the band that is looked at, in cycles a sample.
        noise: Power of the noise per bin: its power over a band of one cycle a sample.
    """
    power = np.abs(scipy.fft.fft(samples)) ** 2 / len(samples)
    frequency = np.fft.fftfreq(len(samples))
    center = 0.0
    for _ in range(3):  # the band follows the centre, so that it cuts nothing off on one side
        inside = np.abs(frequency - center) <= width / 2
        excess = power[inside] - noise
        total = float(excess.sum())
        if not total > 0:
            return center
        center = float(np.clip((excess * frequency[inside]).sum() / total, -width / 2, width / 2))
    return center


def symmetry(samples: NDArray[np.complex64], width: float) -> float:
    r"""Return the frequency about which the spectrum is symmetric, in cycles a sample.

    .. math:: \hat f = \arg\min_c \sum_f \log\left(P(c + f) + P(c - f)\right)

    Whittle's likelihood (Arkiv Mat. 2 (1953) 423) of a symmetric spectrum of unknown shape. The steep skirts decide,
    where the centre of gravity also takes in how the symbols happened to fall.

    Args:
        samples: The signal near zero frequency.
        width: Width of its band in cycles a sample.
    """
    grid, power, _ = _welch(samples, width)
    away = np.arange(0, _SKIRTS * width, width / (2 * _BINS_IN_BAND))
    centers = np.linspace(-_SYMMETRY_REACH, _SYMMETRY_REACH, _SYMMETRY_STEPS) * width
    sides = [np.interp(centers[:, None] + sign * away, grid, power) for sign in (1, -1)]
    cost = np.log(sides[0] + sides[1]).sum(axis=1)
    best = int(np.clip(cost.argmin(), 1, len(centers) - 2))
    return float(centers[best] + parabola(-cost[best - 1 : best + 2]) * (centers[1] - centers[0]))


def occupied_width(samples: NDArray[np.complex64], width: float, noise: float) -> float:
    """Return the width of the band about zero frequency whose power density stands above the noise.

    Both sides are averaged; skirts 30 dB below the peak no longer count.

    Args:
        samples: The signal centred at zero frequency.
        width: A width that is too large rather than too small, in cycles a sample; the result is at most this.
        noise: Power of the noise over a band of one cycle a sample.
    """
    grid, power, averages = _welch(samples, width)
    away = np.arange(0, width / 2, width / (2 * _BINS_IN_BAND))
    both = (np.interp(away, grid, power) + np.interp(-away, grid, power)) / 2
    threshold = max(noise * (1 + max(_LEAST_RISE, _SURE / np.sqrt(2 * averages))), _LOWEST_SKIRT * float(both.max()))
    above = np.flatnonzero(both > threshold)
    return float(min(width, 2 * away[above[-1]] + width / _BINS_IN_BAND)) if len(above) else width


def _welch(samples: NDArray[np.complex64], width: float) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return frequencies, power density (of white noise: its power) and the number of segments averaged."""
    size = min(1 << max(6, int(np.ceil(np.log2(_BINS_IN_BAND / width)))), len(samples))
    window = np.hanning(size + 2)[1:-1]
    segments = np.lib.stride_tricks.sliding_window_view(samples, size)[:: max(1, size // 2)]
    spectra = scipy.fft.fft(segments * (window / np.sqrt(np.sum(window**2))).astype(np.float32), axis=1)
    power = np.fft.fftshift(np.mean(np.abs(spectra) ** 2, axis=0)).astype(float) + 1e-30
    return np.fft.fftshift(np.fft.fftfreq(size)), power, len(segments)
