r"""Symbol rate of a signal from the periodicity of its squared envelope.

.. math:: \hat R = \arg\max_{\alpha} \left| \sum_n |x[n]|^2 \, e^{-2 \pi j \alpha n} \right|

A linearly modulated signal with excess bandwidth is cyclostationary: its squared envelope has a spectral line at the
symbol rate (Gardner, "The role of spectral correlation in design and performance analysis of synchronizers", IEEE
Trans. Commun. 34 (1986) 1089), whose phase is the symbol timing (Oerder and Meyr, "Digital filter and square timing
recovery", IEEE Trans. Commun. 36 (1988) 605). The line comes from the skirts of the spectrum, so it is looked for
in the signal as it is, less its carrier, and with its spectrum made flat, which lifts the skirts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.scipy_extra import scipy_module

LOWEST, HIGHEST = 0.35, 1.0
"""Symbol rates that are looked for, in widths of the occupied band."""

_FALSE_LINES = 1e-3
_NEIGHBOURS = 129
_SMOOTHED = 65
_LEAST_SELF_NOISE = 0.1


class Line(NamedTuple):
    """A spectral line.

    Attributes:
        frequency: In cycles a sample.
        excess: Natural logarithm of how unlikely it is in noise, above the threshold; positive for a line.
    """

    frequency: float
    excess: float


def symbol_line(samples: NDArray[np.complex64], width: float) -> Line:
    """Return the line at the symbol rate, in cycles a sample; its excess is negative if none stands out.

    Args:
        samples: The signal near zero frequency, at three samples a symbol or more.
        width: Width of its occupied band in cycles a sample.
    """
    band = (LOWEST * width, min(HIGHEST * width, 0.5))
    bare = without_carrier(samples)
    looked_at = (samples, bare, flattened(bare, width))
    lines = [strongest_line(np.abs(one) ** 2, *band) for one in looked_at]
    return max(lines, key=lambda line: line.excess)


def without_carrier(samples: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return the signal less its carrier, if it has one: beside a carrier the squared envelope is the signal itself."""
    for _ in range(2):  # a second time for what an error of the frequency left
        line = strongest_line(samples, -0.25, 0.25)
        if line.excess < 0:
            return samples
        tone = np.exp(2j * np.pi * ((line.frequency * np.arange(len(samples))) % 1)).astype(np.complex64)
        samples = samples - np.vdot(tone, samples) / len(samples) * tone
    return samples


def flattened(samples: NDArray[np.complex64], width: float) -> NDArray[np.complex64]:
    """Return the signal divided by its smoothed amplitude spectrum within the band, zero outside."""
    fft = scipy_module("fft")
    spectrum = fft.fft(samples)
    size = max(_SMOOTHED, len(samples) // 256)
    power = scipy_module("ndimage").uniform_filter1d(np.abs(spectrum) ** 2, size, mode="wrap")
    inside = np.abs(np.fft.fftfreq(len(samples))) <= width / 2
    spectrum *= inside / np.sqrt(np.maximum(power, power.max() * 1e-6))
    return np.asarray(fft.ifft(spectrum), np.complex64)


def strongest_line(values: NDArray[np.floating] | NDArray[np.complexfloating], low: float, high: float) -> Line:
    """Return the strongest line of the spectrum of ``values`` from ``low`` to ``high`` cycles a sample.

    The spectrum is compared with its median over 129 neighbours, so that a slope is no line; the frequency is refined
    by a parabola through the logarithms about the peak.
    """
    count = scipy_module("fft").next_fast_len(2 * len(values))
    centred = values if np.iscomplexobj(values) else values - values.mean()
    windowed = centred * np.hanning(len(values))
    power = np.abs(scipy_module("fft").fft(windowed, count)) ** 2 + 1e-30
    margin = _NEIGHBOURS
    first, last = int(low * count), int(np.ceil(high * count)) + 1
    bins = np.arange(first - margin, last + margin)
    band = power[bins % count]
    local = scipy_module("ndimage").median_filter(band, _NEIGHBOURS, mode="nearest")
    local = np.maximum(local, _LEAST_SELF_NOISE * np.median(local))  # beyond the signal's own noise nothing is compared
    excess = np.log(2) * band / local
    inner = slice(margin, len(band) - margin)
    best = margin + int(excess[inner].argmax())
    fraction = parabola(np.log(band[best - 1 : best + 2]))
    return Line(float(bins[best] + fraction) / count, float(excess[best] - np.log((last - first) / _FALSE_LINES)))


def parabola(three: NDArray[np.floating]) -> float:
    """Return where the parabola through values at -1, 0, 1 peaks; between -0.5 and 0.5."""
    curvature = float(three[0] - 2 * three[1] + three[2])
    return float(np.clip(0.5 * (three[0] - three[2]) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0
