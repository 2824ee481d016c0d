"""The search: every sample of the stream is looked at for signals, and drawn."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.regions import regions
from bacalhaunet.classify.live.blocks import Block, Mailbox
from bacalhaunet.classify.live.ring import Counter, SampleRing
from bacalhaunet.classify.live.spectra import SHORTEST, block_length, block_spectrogram
from bacalhaunet.classify.live.tracks import Tracks
from bacalhaunet.classify.live.waterfall import Row, Waterfall

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

    def step(self) -> bool:
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
        found = regions(block_spectrogram(samples))
        waiting = self._mailbox.oldest
        urgent = self._tracks.seen(found, *arrived, offset=start, length=len(samples), waiting=waiting)
        self._mailbox.put(Block(start, samples, found, arrived, self._restarts, urgent))
        self.searched += len(samples)
        self.found += sum(region.stop - region.start for region in found)

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
            self._tracks.seen([], now, now, offset=self._position, waiting=self._mailbox.oldest)

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
