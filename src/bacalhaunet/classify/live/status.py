"""How a session stands: what was counted, what a user should hear of once, and its signals, as JSON objects.

Shares are those of the last seconds. Frequencies are in Hz, times in UTC.
"""

from __future__ import annotations

import math
import statistics
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bacalhaunet.classify.answers import named_signal
from bacalhaunet.classify.live.tracks import Track
from bacalhaunet.data.recordings.recording import Capture, Recording
from bacalhaunet.data.recordings.stores import InMemory

SourceState = Literal["waiting", "receiving", "silent", "ended"]


@dataclass(frozen=True)
class Totals:
    """Counted since the beginning.

    Attributes:
        time: When, on ``time.monotonic``'s clock.
        received: Samples that came out of the source.
        searched: Samples in which signals were looked for.
        found: Samples of the signals that the search found, each signal's counted.
        classified: Those of them that were classified.
        dropped: Samples that came and were lost before they were searched.
        lost: Samples that the source sent and that never came, where it numbers them.
        gaps: Gaps of unknown length that the source reported.
        replaced: Samples that were not finite.
        malformed: Messages that are no whole number of samples.
        restarts: Times that the source came anew.
        failures: Blocks that could not be worked on.
        connected: The source is there.
        ended: The source has ended.
    """

    time: float
    received: int = 0
    searched: int = 0
    found: int = 0
    classified: int = 0
    dropped: int = 0
    lost: int = 0
    gaps: int = 0
    replaced: int = 0
    malformed: int = 0
    restarts: int = 0
    failures: int = 0
    connected: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Status:
    """How things stand.

    Attributes:
        source: ``waiting`` for the first samples, ``receiving``, ``silent``, or ``ended``.
        rate: Samples a second that came since the last look.
        searched: Share of the samples of the last five seconds in which signals were looked for.
        coverage: Share of the samples of the signals found in that time that were classified; None without signals.
        latency_s: Median time, in those seconds, from the arrival of a block's first sample to its answer; None
            without answers.
        latency_max_s: The longest such time.
        totals: Counted since the beginning.
    """

    source: SourceState
    rate: float
    searched: float
    coverage: float | None
    latency_s: float | None
    latency_max_s: float | None
    totals: Totals

    def to_dict(self) -> dict[str, Any]:
        """Return what is printed."""
        own = {key: value for key, value in asdict(self).items() if key != "totals"}
        hidden = ("time", "searched", "found", "classified", "connected", "ended")
        return own | {key: value for key, value in asdict(self.totals).items() if key not in hidden}


SHARES_S = 5.0
"""Shares are those of the last so many seconds: blocks are too long to see them in one."""

_RATE_TOLERANCE = 0.05
_RATE_S = 10.0
_KEPT = 100


class Events:
    """Turns counters into a status and into lines for people; what goes on is said when it begins.

    Args:
        rate: Samples a second that the user said.
    """

    def __init__(self, rate: float) -> None:
        self._nominal = rate
        self._looks: deque[Totals] = deque()
        self._source: SourceState = "waiting"
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._rate_since: Totals | None = None
        self._said_rate = False

    def add(self, line: str) -> None:
        """Add a line, unless it is the one said last."""
        with self._lock:
            if len(self._lines) < _KEPT and (not self._lines or self._lines[-1] != line):
                self._lines.append(line)

    def take(self) -> list[str]:
        """Return the lines since the last call."""
        with self._lock:
            lines, self._lines = self._lines, []
        return lines

    def status(self, totals: Totals, latencies: Sequence[float]) -> Status:
        """Return the status since the last call, and add lines for what is new."""
        before = self._looks[-1] if self._looks else Totals(totals.time)
        self._looks.append(totals)
        while len(self._looks) > 2 and totals.time - self._looks[1].time >= SHARES_S:
            self._looks.popleft()
        seconds, received = totals.time - before.time, totals.received - before.received
        rate, source = received / seconds if seconds > 0 else 0.0, _source(totals, received)
        self._compare(before, totals)
        self._say_source(source)
        self._say_rate(totals, source)
        earlier = self._looks[0] if len(self._looks) > 1 else before
        found = totals.found - earlier.found
        return Status(
            source,
            rate,
            _share(totals.searched - earlier.searched, totals.received - earlier.received),
            _share(totals.classified - earlier.classified, found) if found else None,
            statistics.median(latencies) if latencies else None,
            max(latencies, default=None),
            totals,
        )

    def _compare(self, before: Totals, totals: Totals) -> None:
        if totals.restarts > before.restarts:
            self.add("the source came anew; all signals are looked for again")
        if totals.dropped and not before.dropped:
            self.add("samples are dropped: this machine is too slow for the rate")
        if totals.lost > before.lost or totals.gaps > before.gaps:
            lost = f"{totals.lost - before.lost} samples were" if totals.lost > before.lost else "some samples were"
            self.add(f"{lost} lost between the source and here")
        if totals.malformed and not before.malformed:
            self.add("a message is no whole number of complex64 samples and was left out; is the sink's type complex?")
        if totals.replaced and not before.replaced:
            self.add("samples are NaN, infinite or absurdly large, and were taken for zero")

    def _say_source(self, source: SourceState) -> None:
        if source == self._source:
            return
        said = {"receiving": "samples come", "silent": "the source is silent", "ended": "the source has ended"}
        self._source = source
        self.add(said.get(source, "waiting for the source"))

    def _say_rate(self, totals: Totals, source: SourceState) -> None:
        """Say once if the samples of some ten seconds are not as many as the rate says."""
        if source != "receiving" or self._rate_since is None:
            self._rate_since = totals if source == "receiving" else None
            return
        seconds = totals.time - self._rate_since.time
        if seconds < _RATE_S or self._said_rate:
            return
        rate = (totals.received - self._rate_since.received) / seconds
        self._rate_since = totals
        if abs(rate / self._nominal - 1) > _RATE_TOLERANCE:
            self._said_rate = True
            self.add(
                f"{rate:.4g} samples a second come, not the {self._nominal:.4g} of --rate: frequencies and symbol "
                "rates follow --rate; a source that is too slow, or samples lost on the way, look the same"
            )


def _source(totals: Totals, received: int) -> SourceState:
    if totals.ended:
        return "ended"
    if not totals.received:
        return "waiting"
    return "receiving" if received else "silent"


def _share(part: int, whole: int) -> float:
    return min(1.0, part / whole) if whole > 0 else 0.0


_DIGITS = {
    **{"center": 3, "bandwidth": 3, "symbol_rate": 3, "snr_db": 2, "label": 0},
    **{"confidence": 4, "group": 0, "group_confidence": 4, "frames": 0},
}
"""What is said of a signal, of the fields of ``NamedSignal``, and how many digits after the point."""


class Reports:
    """Makes JSON objects.

    Args:
        rate: Samples a second.
        center: Frequency on the air of the middle of the band, in Hz.
        epoch: What to add to ``time.monotonic`` for seconds since 1970.
    """

    def __init__(self, rate: float, center: float, epoch: float) -> None:
        self.rate, self.center, self._epoch = rate, center, epoch
        store = InMemory(np.empty(0, np.complex64))
        self._stream = Recording(Path("stream"), store, rate, (Capture(0, center),))

    def time(self, moment: float) -> str:
        """Return a moment on ``time.monotonic``'s clock as ISO 8601 in UTC, to the millisecond."""
        when = datetime.fromtimestamp(moment + self._epoch, UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def seconds(self, moment: float) -> float:
        """Return a moment on ``time.monotonic``'s clock in seconds since 1970."""
        return round(moment + self._epoch, 3)

    def signals(self, tracks: Sequence[Track]) -> list[dict[str, Any]]:
        """Return the objects of the signals that have an answer, by their frequency."""
        answered = [one for one in tracks if one.signal is not None and one.pool.heard]
        return [self._signal(one) for one in sorted(answered, key=lambda one: one.low)]

    def _signal(self, track: Track) -> dict[str, Any]:
        assert track.signal is not None
        frames = math.ceil(track.pool.heard)
        signal = named_signal(track.signal, track.pool.answer(), frames, self._stream)
        said = {name: _rounded(getattr(signal, name), digits) for name, digits in _DIGITS.items()}
        return {
            "type": "signal",
            "time": self.time(track.last),
            "signal": track.number,
            **said,
            "since": self.time(track.first),
            "until": None if track.until is None else self.time(track.until),
            "sample": track.newest,
        }

    def status(self, status: Status) -> dict[str, Any]:
        """Return the object of a status."""
        values = {key: _rounded(value, 4) for key, value in status.to_dict().items()}
        return {"type": "status", "time": self.time(status.totals.time)} | values

    def event(self, moment: float, text: str) -> dict[str, Any]:
        """Return the object of something that happened."""
        return {"type": "event", "time": self.time(moment), "text": text}


def _rounded(value: object, digits: int) -> object:
    return round(value, digits) if isinstance(value, float) else value
