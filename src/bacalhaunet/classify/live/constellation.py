r"""What the symbols of a signal look like.

.. math:: y_k e^{-j \hat\phi}, \qquad \hat\phi = \frac{1}{M} \arg \sum_k |y_k|\, e^{j M \angle y_k}

Symbols at the timing of the squared envelope, turned so that successive pictures stand still (Viterbi and Viterbi
1983, as in ``front_end.carrier``), with a root mean square of 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.carrier import symbols

POINTS = 384
_WIDTH = 8 * POINTS
_FEWEST = 64


def constellation(
    samples: NDArray[np.complex64], samples_per_symbol: float | None, center_from: str = "spectrum"
) -> NDArray[np.complex64]:
    """Return up to 384 symbols from the middle of a signal, or samples where it has no symbol rate.

    Args:
        samples: complex64 (N,), the signal alone about zero frequency.
        samples_per_symbol: None if unknown.
        center_from: ``power M`` where the M-th power of the symbols has a line, as in ``Signal``.
    """
    first = max(0, (len(samples) - _WIDTH) // 2)
    samples = samples[first : first + _WIDTH]
    if samples_per_symbol is None or len(samples) < _FEWEST:
        return _scaled(samples[:: _WIDTH // POINTS])
    points = symbols(samples, samples_per_symbol)[:POINTS]
    power = int(center_from.removeprefix("power ")) if center_from.startswith("power ") else 1
    turn = np.angle(np.sum(np.abs(points) * np.exp(1j * power * np.angle(points)))) / power
    return _scaled(points * np.exp(-1j * turn))


def _scaled(points: NDArray[np.complexfloating]) -> NDArray[np.complex64]:
    size = float(np.sqrt(np.mean(np.abs(points) ** 2))) if len(points) else 0.0
    return np.asarray(points / size if size > 0 else points, np.complex64)
