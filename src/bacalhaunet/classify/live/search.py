r"""The search: every sample of the stream is looked at for signals, and drawn.

.. math:: P[t, f] = \frac{1}{M \sum w^2} \sum_{m=1}^{M} \left| \sum_n w[n]\, x[n + (t M + m) N]\,
          e^{-2 \pi j f n / N} \right|^2

Bartlett's method (Nature 161 (1948) 686) with Blackman's window: the segments do not overlap as in
``front_end.regions``, which halves the work at the price of some spread. Rows of the waterfall are the power over
frequency of all samples, about 12 times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.regions import BINS, Spectrogram, regions, segment_powers
from bacalhaunet.classify.live.queues import Block, Counter, Mailbox, SampleRing
from bacalhaunet.classify.live.tracks import Tracks

WATERFALL_BINS = 1024
SHORTEST = 4096
"""Samples of the shortest block that is looked at."""

_LONGEST_S = 0.3
_BLOCK = (1 << 15, 1 << 18)
_CELLS = 64
_SHORTEST_CELL = 1024


def block_length(rate: float) -> int:
    """Return the samples of a block at a sample rate: a power of two, up to 0.3 s and 32768 to 262144 samples."""
    return int(np.clip(1 << int(np.log2(max(1.0, _LONGEST_S * rate))), *_BLOCK))


def block_spectrogram(samples: NDArray[np.complex64]) -> Spectrogram:
    """Return the spectrogram of a block in which ``regions`` looks for signals, without what is left after its cells.

    Args:
        samples: complex64 (N,), 4096 or more.
    """
    cell = max(_SHORTEST_CELL, len(samples) // _CELLS // _SHORTEST_CELL * _SHORTEST_CELL)
    cells = len(samples) // cell
    power = segment_powers(samples[: cells * cell], BINS).reshape(cells, -1, BINS).mean(axis=1)
    return Spectrogram(power, 0, cell, cell / BINS)


def waterfall_rows(samples: NDArray[np.complex64], rows: int) -> NDArray[np.float32]:
    """Return power as float32 (rows, 1024), frequency -0.5 to 0.5 cycles a sample, each row from all its samples.

    Args:
        samples: complex64 (N,), 1024 times ``rows`` or more.
        rows: Stretches of time.
    """
    power = segment_powers(samples[: len(samples) // WATERFALL_BINS * WATERFALL_BINS], WATERFALL_BINS)
    return np.stack([part.mean(axis=0) for part in np.array_split(power, rows)])


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


_SILENCE_S = 1.0
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.001, 0.05


class Search:
    """Takes block after block from the ring, draws it, looks for signals and hands it on.

    Args:
        ring: The samples.
        rate: Samples a second.
        tracks: Where signals are entered.
        mailbox: Where blocks go.
        draw: Gets the rows of the waterfall.

    Attributes:
        searched: Samples that were searched.
        found: Samples of the signals in them, each signal's counted.
        dropped: Samples that the ring lost before they were searched.
    """

    def __init__(
        self, ring: SampleRing, rate: float, tracks: Tracks, mailbox: Mailbox, draw: Callable[[Row], None]
    ) -> None:
        self.searched = self.found = self.dropped = 0
        self._ring, self._rate, self._tracks, self._mailbox, self._draw = ring, rate, tracks, mailbox, draw
        self._length = min(block_length(rate), ring.capacity // 4)
        self._position = self._restarts = 0
        self._waterfall = Waterfall(rate)

    def take_block(self) -> bool:
        """Take a block if there is one, and return whether there was; waits a little if not."""
        self._notice_restart()
        start, count = self._next()
        samples = self._ring.copy(start, count) if count else None
        if count and samples is None:  # overwritten while it was copied
            return True
        if samples is None:
            self._notice_silence()
            time.sleep(min(max(0.1 * self._length / self._rate, _SHORTEST_WAIT_S), _LONGEST_WAIT_S))
            return False
        try:
            self._take(start, samples)
        finally:  # also past a block that cannot be worked on
            self._position = start + count
        return True

    def _take(self, start: int, samples: NDArray[np.complex64]) -> None:
        arrived = (self._ring.arrival(start + 1), self._ring.arrival(start + len(samples)))
        for row in self._waterfall.add(samples, arrived):
            self._draw(row)
        occupied = regions(block_spectrogram(samples))
        waiting = self._mailbox.oldest
        urgent = self._tracks.follow(occupied, *arrived, offset=start, length=len(samples), waiting=waiting)
        self._mailbox.put(Block(start, samples, occupied, arrived, self._restarts, urgent))
        self.searched += len(samples)
        self.found += sum(region.stop - region.start for region in occupied)

    @property
    def backlog_s(self) -> float:
        """Seconds of samples that wait to be searched."""
        return (self._ring[Counter.WRITTEN] - self._position) / self._rate

    @property
    def finished(self) -> bool:
        """Whether the source has ended and nothing is left that is long enough to search."""
        return bool(self._ring[Counter.ENDED]) and self._ring[Counter.WRITTEN] - self._position < SHORTEST

    def _notice_restart(self) -> None:
        restarts = self._ring[Counter.RESTARTS]
        if restarts != self._restarts and self._position >= self._ring[Counter.SEGMENT]:
            self._restarts = restarts
            self._tracks.clear()
            self._mailbox.clear()

    def _notice_silence(self) -> None:
        """End the signals of a source that gives nothing; those at the end of a recording stay for the last word."""
        now = time.monotonic()
        if self._ring[Counter.ENDED]:
            return
        if now - self._ring.arrival(self._ring[Counter.WRITTEN]) > max(_SILENCE_S, 2 * self._length / self._rate):
            self._tracks.follow([], now, now, offset=self._position, waiting=self._mailbox.oldest)

    def _next(self) -> tuple[int, int]:
        """Return the first sample of the next block and how many it has; 0 if there is none yet.

        A block that a gap cuts off is taken as far as it goes.
        """
        segment, written = self._ring[Counter.SEGMENT], self._ring[Counter.WRITTEN]
        if self._position < self._ring.oldest:  # too slow: go on with the newest, so that the answers are not old
            newest = max(written - self._length, self._ring.oldest)
            self.dropped += newest - self._position
            self._position = newest
        if self._position < segment:
            count = min(self._length, segment - self._position)
            if count >= SHORTEST:
                return self._position, count
            self._position = segment
        there = written - self._position
        if there >= self._length or (self._ring[Counter.ENDED] and there >= SHORTEST):
            return self._position, min(there, self._length)
        return self._position, 0
