r"""Symbols as points of the plane that stand still from picture to picture.

.. math:: y_k e^{-j \hat\phi}, \qquad \hat\phi = \frac{1}{M} \arg \sum_k |y_k|\, e^{j M \angle y_k}

the phase of the M-th power, which modulation does not move (Viterbi and Viterbi, 1983, as in ``front_end.carrier``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def turned(points: NDArray[Any], power: int) -> NDArray[Any]:
    """Return points turned to their reference phase: ASK and BPSK lie along the real axis.

    Args:
        points: Complex (N,), one a symbol, without a carrier.
        power: M, 1 or more.
    """
    turn = np.angle(np.sum(np.abs(points) * np.exp(1j * power * np.angle(points))))
    # The outer points of QPSK and QAM lie on the diagonals: their fourth power is negative.
    turn += np.pi if power == 4 else 0.0
    return np.asarray(points * np.exp(-1j * turn / power))


def scaled(points: NDArray[Any]) -> NDArray[np.complex64]:
    """Return points with a root mean square of 1; those of silence stay zero."""
    size = float(np.sqrt(np.mean(np.abs(points) ** 2))) if len(points) else 0.0
    return np.asarray(points / size if size > 0 else points, np.complex64)
