"""What a user should hear of once: the source came, went or came anew, samples were dropped, the rate is another."""

from __future__ import annotations

import statistics
import threading
from collections import deque
from collections.abc import Sequence

from bacalhaunet.classify.live.status import SourceState, Status, Totals

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
