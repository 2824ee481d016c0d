"""The signals of a stream, followed from block to block by their bands."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.front_end.regions import Region
from bacalhaunet.classify.front_end.signals import Signal
from bacalhaunet.classify.live.blocks import Block
from bacalhaunet.classify.live.pooling import LivePool

ESTIMATE_S = (1.0, 4.0)
"""Age at which a signal's centre, bandwidth and symbol rate are estimated again: the first times, and later."""

HISTORY_S = 60.0
"""How long signals that ended are remembered, and how far a label's history goes back."""

_MOST = 64
_HOLD_S = 0.5
_ATTEMPT_S = 0.5
_ESTIMATES = 4
_SAME_BAND = 0.5
_LIKE_BAND = 0.6
_SAME_RATE = 0.01
_LONG_CELLS = 4


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
        last: When it was last seen.
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
    """

    number: int
    first: float
    last: float
    low: float
    high: float
    pool: LivePool
    signal: Signal | None = None
    points: NDArray[np.complex64] = field(default_factory=lambda: np.empty(0, np.complex64))
    runs: list[Run] = field(default_factory=list)
    newest: int = 0
    classified: float = 0.0
    began: int = 0
    ended: int | None = None
    attempted: float = -np.inf
    estimates: list[Signal] = field(default_factory=list)

    def shares_band(self, low: float, high: float) -> bool:
        """Return whether half of the narrower of two bands lies in the other."""
        shared = min(self.high, high) - max(self.low, low)
        return shared > _SAME_BAND * min(self.high - self.low, high - low)

    def lies_in(self, region: Region, offset: int) -> bool:
        """Return whether a region of a block that begins at position ``offset`` shows this signal.

        A region may hold several signals side by side, so half of the narrower band is enough while the signal lasts.
        Before it began and after it ended, as between bursts, the bands must be alike: another signal that covers
        this one's band is not this one.
        """
        start, stop = offset + region.start, offset + region.stop
        if stop <= self.began or (self.ended is not None and start >= self.ended):
            shared = min(self.high, region.high) - max(self.low, region.low)
            return shared > _LIKE_BAND * max(self.high - self.low, region.high - region.low)
        return self.shares_band(region.low, region.high)

    def note(self, region: Region, offset: int, length: int) -> None:
        """Take where a region of a block of ``length`` samples ends: inside the block, or beyond it."""
        inside = region.stop < length - region.cell
        self.ended = max(self.ended or 0, offset + region.stop) if inside else None

    def wants_estimate(self, now: float) -> bool:
        """Return whether the front end should look at it again."""
        if self.signal is None:
            return now - self.attempted > _ATTEMPT_S
        return now - self.attempted > ESTIMATE_S[len(self.estimates) == _ESTIMATES]


class Tracks:
    """All signals, for several threads.

    Args:
        labels: Class names.
        calibration: How much several frames say together.
    """

    def __init__(self, labels: Sequence[str], calibration: Calibration | None = None) -> None:
        self._labels, self._calibration = tuple(labels), calibration or Calibration()
        self.lock = threading.RLock()
        self.active: list[Track] = []
        self.ended: list[Track] = []
        self._count = 0

    def seen(self, regions: Sequence[Region], first: float, last: float, *, offset: int = 0, length: int = 0) -> bool:
        """Take the regions of a block; return whether one is new.

        Args:
            regions: Where the block holds signals.
            first: When its first sample arrived.
            last: When its last one did.
            offset: Position of its first sample in the stream.
            length: Its samples.
        """
        with self.lock:
            going_on = [region for region in regions if region.start <= region.cell]
            self._follow(going_on, first, last, offset, length)
            for track in self.active:  # what does not go on into this block ended before it
                if track.ended is None and track.last != last:
                    track.ended = offset
            self._follow(sorted(set(regions) - set(going_on)), first, last, offset, length)
            self._retire(last)
            return any(one.signal is None and one.last == last and one.wants_estimate(last) for one in self.active)

    def wanting(self, block: Block) -> list[Region]:
        """Return the regions of a block that the front end should look at closely, new ones first."""
        now = block.arrived[1]
        with self.lock:
            urgent, old = [], []
            for region in block.regions:
                wanting = [one for one in self._in(region, block.start) if one.wants_estimate(now)]
                if any(one.signal is None for one in wanting):
                    urgent.append(region)
                elif wanting:
                    old.append(region)
            return urgent + old

    def known(self, block: Block) -> list[Signal]:
        """Return the signals of a block as they were estimated, over the times of its regions."""
        found = []
        with self.lock:
            for region in block.regions:
                # An edge inside the block is known to a cell; what lies surely inside is taken.
                trim = region.cell if region.stop - region.start > _LONG_CELLS * region.cell else 0
                start = region.start + trim if region.start > 0 else 0
                stop = region.stop - trim if region.stop < len(block.samples) - region.cell else len(block.samples)
                there = [one.signal for one in self._in(region, block.start) if one.signal]
                found += [replace(signal, start=start, stop=stop) for signal in there]
        return found

    def estimated(self, signals: Sequence[Signal], block: Block, start: int, stop: int) -> None:
        """Take the signals that the front end found in samples ``start`` to ``stop - 1`` of a block."""
        first, last = block.arrived
        with self.lock:
            for region in block.regions:
                if region.start < stop and start < region.stop:
                    for track in self._in(region, block.start):
                        track.attempted = last
            for signal in signals:
                self._improve(signal, first, last)

    def answered(
        self,
        signal: Signal,
        probabilities: NDArray[np.float32],
        points: NDArray[np.complex64],
        block: Block,
        now: float,
    ) -> None:
        """Take the probabilities of a signal's frames, float32 (n, classes), none silent."""
        with self.lock:
            track = self._of(signal)
            if track is None or not len(probabilities):
                return
            track.pool.add(probabilities, block.arrived[1])
            track.points, track.newest, track.classified = points, block.start, now
            label, confidence, *_ = track.pool.answer()
            assert label is not None
            if track.runs and track.runs[-1].label == label:
                track.runs[-1].stop, track.runs[-1].confidence = block.arrived[1], confidence
            else:
                start = track.runs[-1].stop if track.runs else track.first
                track.runs.append(Run(start, block.arrived[1], label, confidence))
            track.runs = [run for run in track.runs if run.stop > block.arrived[1] - HISTORY_S]

    def clear(self) -> None:
        """End all signals: the source is another one."""
        with self.lock:
            self.ended += self.active
            self.active = []

    def _follow(self, regions: Sequence[Region], first: float, last: float, offset: int, length: int) -> None:
        """Enter each region with the signals it shows, or as a new one."""
        for region in regions:
            matching = self._in(region, offset)
            if not matching and len(self.active) < _MOST:
                matching = [self._new(region.low, region.high, first, last)]
                matching[0].began = offset + region.start
            for track in matching:
                track.last = last
                track.note(region, offset, length)

    def _improve(self, signal: Signal, first: float, last: float) -> None:
        track, half = self._of(signal), signal.bandwidth / 2
        if track is None:
            if len(self.active) >= _MOST:
                return
            track = self._new(signal.center - half, signal.center + half, first, last)
        track.attempted = last
        track.estimates = [*track.estimates, signal][-_ESTIMATES:]
        track.low, track.high = signal.center - half, signal.center + half
        track.signal = _usual(track.estimates)

    def _in(self, region: Region, offset: int) -> list[Track]:
        return [one for one in self.active if one.lies_in(region, offset)]

    def _of(self, signal: Signal) -> Track | None:
        half = signal.bandwidth / 2
        matching = [one for one in self.active if one.shares_band(signal.center - half, signal.center + half)]
        return min(matching, key=lambda one: abs((one.low + one.high) / 2 - signal.center), default=None)

    def _new(self, low: float, high: float, first: float, last: float) -> Track:
        self._count += 1
        track = Track(self._count, first, last, low, high, LivePool(self._labels, self._calibration))
        self.active.append(track)
        return track

    def _retire(self, now: float) -> None:
        gone = [one for one in self.active if one.last < now - _HOLD_S]
        self.active = [one for one in self.active if one.last >= now - _HOLD_S]
        # What was never named is noise's doing, or too short for a frame: not worth remembering.
        self.ended += [one for one in gone if one.pool.frames]
        self.ended = [one for one in self.ended if one.last > now - HISTORY_S][-_MOST:]


def _usual(estimates: Sequence[Signal]) -> Signal:
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
