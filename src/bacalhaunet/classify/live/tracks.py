"""The signals of a stream, followed from block to block by their bands."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.answers import STREAM_MEMORY_S, Pool
from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.front_end.regions import Region
from bacalhaunet.classify.front_end.signals import Signal
from bacalhaunet.classify.live.queues import Block
from bacalhaunet.radio.class_set import ClassSet

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

    def needs_estimate(self, now: float) -> bool:
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


HISTORY_S = 60.0
"""How long signals that ended are remembered, and how far a label's history goes back."""

_MOST = 64
_HOLD_S = 0.5


class Sighting(NamedTuple):
    """A signal in a block.

    Attributes:
        track: The signal.
        region: Where the block shows it, perhaps with others beside it.
        signal: As it was estimated, over the time of the region.
    """

    track: Track
    region: Region
    signal: Signal


class Tracks:
    """All signals, for several threads.

    Args:
        classes: The classes.
        calibration: How much several frames say together.

    Attributes:
        lock: To be held while tracks are looked at.
        active: Signals that go on, and those that ended a moment ago or in a block that is not classified yet.
        ended: Signals that ended and had an answer.
    """

    def __init__(self, classes: ClassSet, calibration: Calibration | None = None) -> None:
        self._classes, self._calibration = classes, calibration or Calibration()
        self.lock = threading.RLock()
        self.active: list[Track] = []
        self.ended: list[Track] = []
        self._count = 0

    def follow(
        self,
        regions: Sequence[Region],
        first: float,
        last: float,
        *,
        offset: int = 0,
        length: int = 0,
        waiting: float | None = None,
    ) -> bool:
        """Take the regions of a block; return whether a signal without an answer is to be looked at.

        Args:
            regions: Where the block holds signals.
            first: When its first sample arrived.
            last: When its last one did.
            offset: Position of its first sample in the stream.
            length: Its samples.
            waiting: When the last sample of the oldest block arrived that waits to be classified; its signals stay.
        """
        block = Stretch(offset, length, first, last)
        with self.lock:
            going_on = [region for region in regions if region.start <= region.cell]
            self._follow(going_on, block)
            for track in self.active:  # what does not go on into this block ended before it
                if track.ended is None and track.last != last:
                    track.end(offset, first)
            self._follow(sorted(set(regions) - set(going_on)), block)
            self._retire(last, last if waiting is None else min(last, waiting))
            return any(not one.pool.heard and one.last == last and one.needs_estimate(last) for one in self.active)

    def due(self, block: Block) -> list[Region]:
        """Return the regions of a block that the front end should look at closely, new ones first."""
        now = block.arrived[1]
        with self.lock:
            urgent, old = [], []
            for region in block.regions:
                due = [one for one in self._in(region, block.start) if one.needs_estimate(now)]
                if any(one.signal is None for one in due):
                    urgent.append(region)
                elif due:
                    old.append(region)
            return urgent + old

    def sightings(self, block: Block) -> list[Sighting]:
        """Return the signals of a block that were estimated."""
        sightings, length = [], len(block.samples)
        with self.lock:
            for region in block.regions:
                stop = region.stop if region.stop < length - region.cell else length
                for track in self._in(region, block.start):
                    if track.signal is not None:
                        sightings.append(Sighting(track, region, replace(track.signal, start=region.start, stop=stop)))
        return sightings

    def improve(self, signals: Sequence[Signal], block: Block, start: int, stop: int) -> None:
        """Take the signals that the front end found in samples ``start`` to ``stop - 1`` of a block."""
        shown = [region for region in block.regions if _shows(region, start, stop)]
        with self.lock:
            for signal in signals:
                self._improve(replace(signal, start=start + signal.start, stop=start + signal.stop), shown, block)
            for region in shown:
                for track in self._in(region, block.start):
                    track.attempted = block.arrived[1]
                    track.glimpsed = _only_begins(region, stop - start, len(block.samples))

    def answer(
        self,
        track: Track,
        probabilities: NDArray[np.float32],
        points: NDArray[np.complex64],
        block: Block,
        now: float,
    ) -> None:
        """Take the probabilities of a signal's frames, float32 (n, classes), none silent."""
        with self.lock:
            if not len(probabilities):
                return
            track.pool.add(probabilities, time=block.arrived[1])
            track.points, track.newest, track.classified = points, block.start, now
            answer = track.pool.answer()
            label, confidence = str(answer.label), answer.confidence
            if track.runs and track.runs[-1].label == label:
                track.runs[-1].stop, track.runs[-1].confidence = block.arrived[1], confidence
            else:
                start = track.runs[-1].stop if track.runs else track.first
                track.runs.append(Run(start, block.arrived[1], label, confidence))
            track.runs = [run for run in track.runs if run.stop > block.arrived[1] - HISTORY_S]

    def clear(self) -> None:
        """End all signals: the source is another one."""
        with self.lock:
            for track in self.active:
                track.until = track.heard
            self.ended += self.active
            self.active = []

    def _follow(self, regions: Sequence[Region], block: Stretch) -> None:
        """Enter each region with the signals it shows, or as a new one."""
        for region in regions:
            matching = self._in(region, block.start)
            if not matching and len(self.active) < _MOST:
                matching = [self._new(region.low, region.high, block.start + region.start, block)]
            for track in matching:
                track.last = block.last
                track.note(region, block)

    def _improve(self, signal: Signal, shown: Sequence[Region], block: Block) -> None:
        """Enter an estimate with its signal, or as a new one, unless next to nothing of it was looked at."""
        low, high = signal.center - signal.bandwidth / 2, signal.center + signal.bandwidth / 2
        start, stop = block.start + signal.start, block.start + signal.stop
        if not any(_holds(region, signal) for region in shown):
            return
        matching = [one for one in self.active if one.fills(start, stop, low, high)]
        track = max(matching, key=lambda one: one.likeness(low, high), default=None)
        if track is None:
            if len(self.active) >= _MOST:
                return
            stretch = Stretch(block.start, len(block.samples), *block.arrived)
            track = self._new(low, high, start, stretch)
            for region in block.regions:
                if track.lies_in(region, block.start):
                    track.note(region, stretch)
        track.improve(signal)
        track.attempted = block.arrived[1]

    def _in(self, region: Region, offset: int) -> list[Track]:
        return [one for one in self.active if one.lies_in(region, offset)]

    def _new(self, low: float, high: float, began: int, block: Stretch) -> Track:
        self._count += 1
        pool = Pool(self._classes, self._calibration, memory_s=STREAM_MEMORY_S)
        track = Track(self._count, block.first, block.last, low, high, pool, began=began)
        self.active.append(track)
        return track

    def _retire(self, now: float, waiting: float) -> None:
        gone = [one for one in self.active if one.last < waiting - _HOLD_S]
        self.active = [one for one in self.active if one.last >= waiting - _HOLD_S]
        # What was never named is noise's doing, or too short for a frame: not worth remembering.
        self.ended += [one for one in gone if one.pool.heard]
        self.ended = [one for one in self.ended if one.last > now - HISTORY_S][-_MOST:]


def _shows(region: Region, start: int, stop: int) -> bool:
    """Return whether samples ``start`` to ``stop - 1`` of a block show half a region, or half of what they could."""
    shown = min(region.stop, stop) - max(region.start, start)
    return 2 * shown >= min(region.stop - region.start, stop - start)


def _holds(region: Region, signal: Signal) -> bool:
    """Return whether half of the narrower of a region's and a signal's bands is shared, at any time."""
    low, high = signal.center - signal.bandwidth / 2, signal.center + signal.bandwidth / 2
    wide = min(region.high, high) - max(region.low, low)
    at_once = region.start < signal.stop and signal.start < region.stop
    return at_once and 2 * wide > min(region.high - region.low, high - low)


def _only_begins(region: Region, window: int, length: int) -> bool:
    """Return whether a region begins so late in a block of ``length`` samples that it fills less than half a window."""
    goes_on = region.stop >= length - region.cell
    return goes_on and region.start > region.cell and 2 * (region.stop - region.start) < window
