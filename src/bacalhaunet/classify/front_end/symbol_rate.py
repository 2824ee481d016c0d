r"""Symbol rate and carrier of a signal, from lines of spectra.

Symbol rate from the periodicity of the squared envelope:

.. math:: \hat R = \arg\max_{\alpha} \left| \sum_n |x[n]|^2 \, e^{-2 \pi j \alpha n} \right|

A linearly modulated signal with excess bandwidth is cyclostationary: its squared envelope has a spectral line at the
symbol rate (Gardner, "The role of spectral correlation in design and performance analysis of synchronizers", IEEE
Trans. Commun. 34 (1986) 1089), whose phase is the symbol timing (Oerder and Meyr, "Digital filter and square timing
recovery", IEEE Trans. Commun. 36 (1988) 605). The line comes from the skirts of the spectrum, so it is looked for
in the signal as it is, less its carrier, and with its spectrum made flat, which lifts the skirts.

Carrier from a power of the symbols:

.. math:: \hat f = \frac{1}{M} \arg\max_\nu \left| \sum_k |y_k|\, e^{j M \angle y_k}\, e^{-2 \pi j \nu k} \right|

The M-th power of a constellation that looks the same after a turn by 1/M has a line at M times the carrier (Viterbi and
Viterbi, "Nonlinear estimation of PSK-modulated carrier phase", IEEE Trans. Inf. Theory 29 (1983) 543; Rife and
Boorstyn, ibid. 20 (1974) 591 for the line's frequency). The smallest M that has a line is used: 1 for unipolar ASK, 2
for BPSK, 4 for QPSK and QAM, 12 and 16 for rings. The symbols y_k are taken at the timing that the squared envelope
tells (Oerder and Meyr 1988).

Both, of GMSK and OQPSK, whose envelope tells nothing, from the lines of the squared signal:

.. math:: |\mathcal{F}\{x^2\}(\nu)| \text{ has lines at } 2 f_c \pm R / 2 \text{ (MSK, GMSK)}, \quad
          2 f_c \pm R \text{ (offset QPSK)}

Their conjugate cyclic autocorrelation has no line at twice the carrier, as BPSK's has, but one on either side of it
(Gardner, Brown and Chen, "Spectral correlation of modulated signals: part II, digital modulation", IEEE Trans. Commun.
35 (1987) 595). GMSK's lines are closer to each other than its band is wide, offset QPSK's are farther apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

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
    forms = (samples, bare, flattened(bare, width))
    lines = [strongest_line(np.abs(one) ** 2, *band) for one in forms]
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
    fft = scipy.fft
    spectrum = fft.fft(samples)
    size = max(_SMOOTHED, len(samples) // 256)
    power = scipy.ndimage.uniform_filter1d(np.abs(spectrum) ** 2, size, mode="wrap")
    inside = np.abs(np.fft.fftfreq(len(samples))) <= width / 2
    spectrum *= inside / np.sqrt(np.maximum(power, power.max() * 1e-6))
    return np.asarray(fft.ifft(spectrum), np.complex64)


def strongest_line(values: NDArray[np.floating] | NDArray[np.complexfloating], low: float, high: float) -> Line:
    """Return the strongest line of the spectrum of ``values`` from ``low`` to ``high`` cycles a sample.

    The spectrum is compared with its median over 129 neighbours, so that a slope is no line; the frequency is refined
    by a parabola through the logarithms about the peak.
    """
    count = scipy.fft.next_fast_len(2 * len(values))
    centred = values if np.iscomplexobj(values) else values - values.mean()
    windowed = centred * np.hanning(len(values))
    power = np.abs(scipy.fft.fft(windowed, count)) ** 2 + 1e-30
    margin = _NEIGHBOURS
    first, last = int(low * count), int(np.ceil(high * count)) + 1
    bins = np.arange(first - margin, last + margin)
    band = power[bins % count]
    local = scipy.ndimage.median_filter(band, _NEIGHBOURS, mode="nearest")
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


POWERS = (1, 2, 4, 8, 12, 16, 32)
"""Powers that are tried, in this order."""

REACH = 0.03
"""Largest offset that is looked for, in symbol rates."""

_CARRIER_FALSE_LINES = 1e-4
_UNAMBIGUOUS = 0.45


class Fine(NamedTuple):
    """A fine carrier.

    Attributes:
        offset: In cycles a symbol.
        power: The power M whose line it is.
    """

    offset: float
    power: int


def symbols(samples: NDArray[np.complex64], samples_per_symbol: float) -> NDArray[np.complex128]:
    """Return one sample a symbol at the timing of the squared envelope, by linear interpolation."""
    position = np.arange(len(samples))
    line = np.sum(np.abs(samples) ** 2 * np.exp(-2j * np.pi * position / samples_per_symbol))
    first = (-np.angle(line) / (2 * np.pi)) % 1 * samples_per_symbol
    instants = np.arange(first, len(samples) - 1, samples_per_symbol)
    whole = instants.astype(np.int64)
    part = instants - whole
    return np.asarray(samples[whole] * (1 - part) + samples[whole + 1] * part, np.complex128)


def fine_carrier(values: NDArray[np.complex128]) -> Fine | None:
    """Return the carrier of symbols by the smallest power that has a line; None if none has."""
    if len(values) < 32:
        return None
    magnitude = np.abs(values)
    phasor = values / np.maximum(magnitude, 1e-30)
    for power in POWERS:
        line = _line(magnitude * phasor**power, min(REACH * power, _UNAMBIGUOUS))
        if line is not None:
            return Fine(line / power, power)
    return None


def _line(values: NDArray[np.complex128], reach: float) -> float | None:
    count = 2 * len(values)
    spectrum = np.abs(scipy.fft.fft(values * np.hanning(len(values)), count)) ** 2 + 1e-30
    span = int(np.ceil(reach * count))
    band = spectrum[np.arange(-span - 1, span + 2) % count]
    best = 1 + int(band[1:-1].argmax())
    if np.log(2) * band[best] / np.median(spectrum) < np.log(2 * span / _CARRIER_FALSE_LINES):
        return None
    return float(best - 1 - span + parabola(np.log(band[best - 1 : best + 2]))) / count


_REACH = 1.1
_APART = 0.3
_OFF_CENTRE = 0.2
_BETWEEN = 1.3
_HIGHEST = 1.25
"""Largest symbol rate in widths of the band: GMSK's band above the noise is narrower than its symbol rate."""


class OffsetLines(NamedTuple):
    """What two lines tell.

    Attributes:
        symbol_rate: In cycles a sample.
        center: Carrier in cycles a sample.
        excess: As of ``symbol_rate.Line``, of the weaker line.
    """

    symbol_rate: float
    center: float
    excess: float


def offset_lines(samples: NDArray[np.complex64], width: float) -> OffsetLines | None:
    """Return symbol rate and carrier; None if the squared signal does not have two lines about its middle.

    Args:
        samples: The signal near zero frequency, at three samples a symbol or more.
        width: Width of its occupied band in cycles a sample.
    """
    pairs = [_pair(one**2, width) for one in (samples, flattened(samples, width))]
    best = max(pairs, key=lambda pair: pair.excess)
    distance, center = best.high - best.low, (best.high + best.low) / 4
    rate = distance if distance < _BETWEEN * width else distance / 2
    if best.excess < 0 or abs(center) > _OFF_CENTRE * width / 2 or not LOWEST * width <= rate <= _HIGHEST * width:
        return None
    return OffsetLines(rate, center, best.excess)


class _Pair(NamedTuple):
    low: float
    high: float
    excess: float


def _pair(squared: NDArray[np.complex64], width: float) -> _Pair:
    """Return the strongest line and the strongest one away from it; ``excess`` is that of the weaker."""
    reach, gap = min(_REACH * width, 0.49), _APART * width
    first = strongest_line(squared, -reach, reach)
    sides = [(-reach, first.frequency - gap), (first.frequency + gap, reach)]
    others = [strongest_line(squared, low, high) for low, high in sides if high > low]
    second = max(others, key=lambda line: line.excess)
    low, high = sorted((first.frequency, second.frequency))
    return _Pair(low, high, min(first.excess, second.excess))
