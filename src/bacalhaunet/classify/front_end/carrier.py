r"""Carrier of a signal from a power of its symbols.

.. math:: \hat f = \frac{1}{M} \arg\max_\nu \left| \sum_k |y_k|\, e^{j M \angle y_k}\, e^{-2 \pi j \nu k} \right|

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
    spectrum = np.abs(scipy_module("fft").fft(values * np.hanning(len(values)), count)) ** 2 + 1e-30
    span = int(np.ceil(reach * count))
    band = spectrum[np.arange(-span - 1, span + 2) % count]
    best = 1 + int(band[1:-1].argmax())
    if np.log(2) * band[best] / np.median(spectrum) < np.log(2 * span / _FALSE_LINES):
        return None
    return float(best - 1 - span + parabola(np.log(band[best - 1 : best + 2]))) / count
