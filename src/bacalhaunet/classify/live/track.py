"""One signal of a stream: its band, its answer, when it was there and when the front end should look at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.answers import Pool
from bacalhaunet.classify.front_end.regions import Region
from bacalhaunet.classify.front_end.signals import Signal

ESTIMATE_S = (1.0, 4.0)
"""Age at which a signal's centre, bandwidth and symbol rate are estimated again: the first times, and later."""

ESTIMATES = 4
"""Estimates that are remembered."""

_ATTEMPT_S = 0.5
_SAME_BAND = 0.5
_LIKE_BAND = 0.6
_SAME_RATE = 0.01


class Stretch(NamedTuple):
    """A block's place in the stream and in time.

    Attributes:
        start: Position of its first sample.
        length: Its samples.
        first: When its first sample arrived, on ``time.monotonic``'s clock.
        last: When its last one did.
    """

    start: int
    length: int
    first: float
    last: float

    def time(self, sample: int) -> float:
        """Return when a sample of the block, counted from its first, arrived."""
        return self.first + (self.last - self.first) * sample / max(1, self.length)


@dataclass
class Run:
    """A stretch of time with one label."""

    start: float
    stop: float
    label: str
    confidence: float


@dataclass
class Track:
    """A signal of the stream. Times are on ``time.monotonic``'s clock, frequencies in cycles a sample.

    Attributes:
        number: Counts the signals, from 1.
        first: When it was first seen.
        last: When the last sample of the last block that showed it arrived.
        low: Lower edge of its band.
        high: Upper edge.
        pool: The answer.
        signal: Where it is; None until the front end has looked at it closely.
        points: complex64, its latest symbols or samples.
        runs: Its labels over time.
        newest: Position in the stream of the first sample of the newest block in the answer.
        classified: When that block was classified; 0 for never.
        began: Position in the stream of its first sample.
        ended: Position of the sample after its last; None while it goes on.
        until: When that one arrived; None while it goes on.
        attempted: When the last sample of the block in which the front end looked for it last arrived.
        glimpsed: It had only begun then.
        estimates: What the front end found, the newest last.
    """

    number: int
    first: float
    last: float
    low: float
    high: float
    pool: Pool
    signal: Signal | None = None
    points: NDArray[np.complex64] = field(default_factory=lambda: np.empty(0, np.complex64))
    runs: list[Run] = field(default_factory=list)
    newest: int = 0
    classified: float = 0.0
    began: int = 0
    ended: int | None = None
    until: float | None = None
    attempted: float = -np.inf
    glimpsed: bool = False
    estimates: list[Signal] = field(default_factory=list)

    @property
    def heard(self) -> float:
        """When it was heard last: its end, or the end of the last block that showed it."""
        return self.last if self.until is None else self.until

    def shares_band(self, low: float, high: float) -> bool:
        """Return whether half of the narrower of two bands lies in the other."""
        return self._shared(low, high) > _SAME_BAND * min(self.high - self.low, high - low)

    def likeness(self, low: float, high: float) -> float:
        """Return what two bands share over the wider one: 1 for the same, 0 for bands apart."""
        return self._shared(low, high) / max(self.high - self.low, high - low)

    def fills(self, start: int, stop: int, low: float, high: float) -> bool:
        """Return whether it is this signal that fills a band from position ``start`` of the stream to ``stop - 1``.

        A band may hold several signals side by side, so half of the narrower one is enough while the signal lasts.
        Before it began and after it ended, as between bursts, the bands must be alike: another signal that covers
        this one's band is not this one.
        """
        if stop <= self.began or (self.ended is not None and start >= self.ended):
            return self.likeness(low, high) > _LIKE_BAND
        return self.shares_band(low, high)

    def lies_in(self, region: Region, offset: int) -> bool:
        """Return whether a region of a block that begins at position ``offset`` shows this signal."""
        return self.fills(offset + region.start, offset + region.stop, region.low, region.high)

    def note(self, region: Region, block: Stretch) -> None:
        """Take where a region of a block ends: inside the block, or beyond it."""
        if region.stop >= block.length - region.cell:
            self.ended = self.until = None
        else:
            self.end(max(self.ended or 0, block.start + region.stop), max(self.until or 0.0, block.time(region.stop)))

    def end(self, position: int, time: float) -> None:
        """Take the position of the sample after the last one and when it arrived."""
        self.ended, self.until = position, time

    def wants_estimate(self, now: float) -> bool:
        """Return whether the front end should look at it, in a block whose last sample arrived at ``now``."""
        age = now - self.attempted
        if self.glimpsed:  # the next block shows more
            return age > 0
        if self.signal is None:
            return age > _ATTEMPT_S
        return age > ESTIMATE_S[len(self.estimates) == ESTIMATES]

    def improve(self, signal: Signal) -> None:
        """Take what the front end found."""
        self.estimates = [*self.estimates, signal][-ESTIMATES:]
        self.low, self.high = signal.center - signal.bandwidth / 2, signal.center + signal.bandwidth / 2
        self.signal = _usual(self.estimates)

    def _shared(self, low: float, high: float) -> float:
        return max(0.0, min(self.high, high) - max(self.low, low))


def _usual(estimates: list[Signal]) -> Signal:
    """Return the newest estimate, unless its symbol rate is not the usual one: then the newest that has that.

    One block in which the line of the symbol rate did not show, or another did, changes nothing.
    """
    rates = [one.symbol_rate for one in estimates if one.symbol_rate is not None]
    if 2 * len(rates) < len(estimates):
        return estimates[-1]
    usual = float(np.median(rates))
    distance = [np.inf if one.symbol_rate is None else abs(one.symbol_rate / usual - 1) for one in estimates]
    near = [one for one, away in zip(estimates, distance, strict=True) if away < _SAME_RATE]
    return near[-1] if near else estimates[int(np.argmin(distance))]
