"""Rows of the waterfall: the power over frequency of all samples, about 12 times a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.live.spectra import WATERFALL_BINS, waterfall_rows

ROWS_PER_S = 12.0


@dataclass(frozen=True)
class Row:
    """Power over frequency for a stretch of time.

    Attributes:
        time: When its last sample arrived, on ``time.monotonic``'s clock.
        seconds: How long it is.
        decibels: float32 (1024,), power in dB of full scale 1, frequency -0.5 to 0.5 cycles a sample.
    """

    time: float
    seconds: float
    decibels: NDArray[np.float32]


class Waterfall:
    """Makes rows of blocks.

    Args:
        rate: Samples a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._clear()

    def add(self, samples: NDArray[np.complex64], arrived: tuple[float, float]) -> list[Row]:
        """Return the rows that a block, of 4096 samples or more, completes."""
        seconds = len(samples) / self._rate
        parts = int(np.clip(round(seconds * ROWS_PER_S), 1, len(samples) // WATERFALL_BINS))
        made = []
        for number, power in enumerate(waterfall_rows(samples, parts)):
            self._sum += power
            self._count += 1
            self._seconds += seconds / parts
            if self._seconds >= 1 / ROWS_PER_S or parts > 1:
                when = arrived[0] + (arrived[1] - arrived[0]) * (number + 1) / parts
                level = 10 * np.log10(np.maximum(self._sum / self._count, 1e-20))
                made.append(Row(when, self._seconds, level.astype(np.float32)))
                self._clear()
        return made

    def _clear(self) -> None:
        self._sum, self._count, self._seconds = np.zeros(WATERFALL_BINS, np.float32), 0, 0.0
