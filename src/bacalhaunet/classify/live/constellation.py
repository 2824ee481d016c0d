"""What the symbols of a signal look like: taken at the timing of the squared envelope, and turned to stand still.

Unlike ``signal_points`` it passes no matched filter and follows no rest of a carrier: it is drawn many times a second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.carrier import symbols
from bacalhaunet.classify.symbol_plane import scaled, turned

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
        return scaled(samples[:: _WIDTH // POINTS])
    points = symbols(samples, samples_per_symbol)[:POINTS]
    power = int(center_from.removeprefix("power ")) if center_from.startswith("power ") else 1
    return scaled(turned(points, power))
