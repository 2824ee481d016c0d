"""The signals of a stream, followed from block to block by their bands."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.answers import STREAM_MEMORY_S, Pool
from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.front_end.regions import Region
from bacalhaunet.classify.front_end.signals import Signal
from bacalhaunet.classify.live.blocks import Block
from bacalhaunet.classify.live.track import Run, Stretch, Track

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
        labels: Class names.
        calibration: How much several frames say together.

    Attributes:
        lock: To be held while tracks are looked at.
        active: Signals that go on, and those that ended a moment ago or in a block that is not classified yet.
        ended: Signals that ended and had an answer.
    """

    def __init__(self, labels: Sequence[str], calibration: Calibration | None = None) -> None:
        self._labels, self._calibration = tuple(labels), calibration or Calibration()
        self.lock = threading.RLock()
        self.active: list[Track] = []
        self.ended: list[Track] = []
        self._count = 0

    def seen(
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
            return any(not one.pool.heard and one.last == last and one.wants_estimate(last) for one in self.active)

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

    def known(self, block: Block) -> list[Sighting]:
        """Return the signals of a block that were estimated."""
        found, length = [], len(block.samples)
        with self.lock:
            for region in block.regions:
                stop = region.stop if region.stop < length - region.cell else length
                for track in self._in(region, block.start):
                    if track.signal is not None:
                        found.append(Sighting(track, region, replace(track.signal, start=region.start, stop=stop)))
        return found

    def estimated(self, signals: Sequence[Signal], block: Block, start: int, stop: int) -> None:
        """Take the signals that the front end found in samples ``start`` to ``stop - 1`` of a block."""
        shown = [region for region in block.regions if _shows(region, start, stop)]
        with self.lock:
            for signal in signals:
                self._improve(replace(signal, start=start + signal.start, stop=start + signal.stop), shown, block)
            for region in shown:
                for track in self._in(region, block.start):
                    track.attempted = block.arrived[1]
                    track.glimpsed = _only_begins(region, stop - start, len(block.samples))

    def answered(
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
        pool = Pool(self._labels, self._calibration, memory_s=STREAM_MEMORY_S)
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
