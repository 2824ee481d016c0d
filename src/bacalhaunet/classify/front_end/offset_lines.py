r"""Symbol rate and carrier of GMSK and OQPSK, whose envelope tells nothing, from the lines of the squared signal.

.. math:: |\mathcal{F}\{x^2\}(\nu)| \text{ has lines at } 2 f_c \pm R / 2 \text{ (MSK, GMSK)}, \quad
          2 f_c \pm R \text{ (offset QPSK)}

Their conjugate cyclic autocorrelation has no line at twice the carrier, as BPSK's has, but one on either side of it
(Gardner, Brown and Chen, "Spectral correlation of modulated signals: part II, digital modulation", IEEE Trans. Commun.
35 (1987) 595). GMSK's lines are closer to each other than its band is wide, offset QPSK's are farther apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.symbol_rate import LOWEST, flattened, strongest_line

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
    found = [_pair(one**2, width) for one in (samples, flattened(samples, width))]
    best = max(found, key=lambda pair: pair.excess)
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
