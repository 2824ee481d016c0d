r"""Carrier of a signal: coarse from the balance of its spectrum, fine from a power of its symbols.

.. math:: \hat f = \frac{\sum_f f\,(P(f) - N)}{\sum_f (P(f) - N)} \qquad
          \hat f = \frac{1}{M} \arg\max_\nu \left| \sum_k |y_k|\, e^{j M \angle y_k}\, e^{-2 \pi j \nu k} \right|

The M-th power of a constellation that looks the same after a turn by 1/M has a line at M times the carrier (Viterbi and
Viterbi, "Nonlinear estimation of PSK-modulated carrier phase", IEEE Trans. Inf. Theory 29 (1983) 543; Rife and
Boorstyn, ibid. 20 (1974) 591 for the line's frequency). The smallest M that has a line is used: 1 for unipolar ASK, 2
for BPSK, 4 for QPSK and QAM, 12 and 16 for rings. The symbols y_k are taken at the timing that the squared envelope
tells (Oerder and Meyr 1988).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.scipy_extra import scipy_module
from bacalhaunet.classify.front_end.symbol_rate import parabola

POWERS = (1, 2, 4, 8, 12, 16, 32)
"""Powers that are tried, in this order."""

REACH = 0.03
"""Largest offset that is looked for, in symbol rates."""

_FALSE_LINES = 1e-4
_UNAMBIGUOUS = 0.45
_BINS_IN_BAND = 64
_SKIRTS = 0.7
_SYMMETRY_REACH = 0.08
_SYMMETRY_STEPS = 161


class Fine(NamedTuple):
    """A fine carrier.

    Attributes:
        offset: In cycles a symbol.
        power: The power M whose line it is.
    """

    offset: float
    power: int


def spectrum_balance(samples: NDArray[np.complex64], width: float, noise: float) -> float:
    """Return the centre of gravity of the spectrum above the noise, in cycles a sample.

    Args:
        samples: The signal near zero frequency.
        width: Width of the band that is looked at, in cycles a sample.
        noise: Power of the noise per bin: its power over a band of one cycle a sample.
    """
    power = np.abs(scipy_module("fft").fft(samples)) ** 2 / len(samples)
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


def spectrum_symmetry(samples: NDArray[np.complex64], width: float) -> float:
    r"""Return the frequency about which the spectrum is symmetric, in cycles a sample.

    .. math:: \hat f = \arg\min_c \sum_f \log\left(P(c + f) + P(c - f)\right)

    Whittle's likelihood (Arkiv Mat. 2 (1953) 423) of a symmetric spectrum of unknown shape. The steep skirts decide,
    where the centre of gravity also takes in how the symbols happened to fall.

    Args:
        samples: The signal near zero frequency.
        width: Width of its band in cycles a sample.
    """
    size = 1 << max(6, int(np.ceil(np.log2(_BINS_IN_BAND / width))))
    size = min(size, len(samples))
    segments = np.lib.stride_tricks.sliding_window_view(samples, size)[:: max(1, size // 2)]
    spectra = scipy_module("fft").fft(segments * np.hanning(size).astype(np.float32), axis=1)
    power = np.fft.fftshift(np.mean(np.abs(spectra) ** 2, axis=0)) + 1e-30
    grid = np.fft.fftshift(np.fft.fftfreq(size))
    away = np.arange(0, _SKIRTS * width, width / (2 * _BINS_IN_BAND))
    centers = np.linspace(-_SYMMETRY_REACH, _SYMMETRY_REACH, _SYMMETRY_STEPS) * width
    sides = [np.interp(centers[:, None] + sign * away, grid, power) for sign in (1, -1)]
    cost = np.log(sides[0] + sides[1]).sum(axis=1)
    best = int(np.clip(cost.argmin(), 1, len(centers) - 2))
    return float(centers[best] + parabola(-cost[best - 1 : best + 2]) * (centers[1] - centers[0]))


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
    spectrum = np.abs(scipy_module("fft").fft(values * np.hanning(len(values)), count)) ** 2 + 1e-30
    span = int(np.ceil(reach * count))
    band = spectrum[np.arange(-span - 1, span + 2) % count]
    best = 1 + int(band[1:-1].argmax())
    if np.log(2) * band[best] / np.median(spectrum) < np.log(2 * span / _FALSE_LINES):
        return None
    return float(best - 1 - span + parabola(np.log(band[best - 1 : best + 2]))) / count
