"""What a session says, as JSON objects: its signals, and how it stands. Frequencies are in Hz, times in UTC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bacalhaunet.classify.live.status import Status
from bacalhaunet.classify.live.track import Track


class Reports:
    """Makes JSON objects.

    Args:
        rate: Samples a second.
        center: Frequency on the air of the middle of the band, in Hz.
        epoch: What to add to ``time.monotonic`` for seconds since 1970.
    """

    def __init__(self, rate: float, center: float, epoch: float) -> None:
        self.rate, self.center, self._epoch = rate, center, epoch

    def time(self, moment: float) -> str:
        """Return a moment on ``time.monotonic``'s clock as ISO 8601 in UTC, to the millisecond."""
        when = datetime.fromtimestamp(moment + self._epoch, UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def seconds(self, moment: float) -> float:
        """Return a moment on ``time.monotonic``'s clock in seconds since 1970."""
        return round(moment + self._epoch, 3)

    def signals(self, tracks: Sequence[Track]) -> list[dict[str, Any]]:
        """Return the objects of the signals that have an answer, by their frequency."""
        answered = [one for one in tracks if one.signal is not None and one.pool.frames]
        return [self._signal(one) for one in sorted(answered, key=lambda one: one.low)]

    def _signal(self, track: Track) -> dict[str, Any]:
        signal = track.signal
        assert signal is not None
        answer = track.pool.answer()
        rate = signal.symbol_rate
        return {
            "type": "signal",
            "time": self.time(track.last),
            "signal": track.number,
            "center": round(self.center + signal.center * self.rate, 3),
            "bandwidth": round(signal.bandwidth * self.rate, 3),
            "symbol_rate": None if rate is None else round(rate * self.rate, 3),
            "snr_db": None if signal.snr_db is None else round(signal.snr_db, 2),
            "label": answer.label,
            "confidence": round(answer.confidence, 4),
            "group": answer.group,
            "group_confidence": round(answer.group_confidence, 4),
            "frames": math.ceil(track.pool.frames),
            "since": self.time(track.first),
            "until": None if track.until is None else self.time(track.until),
            "sample": track.newest,
        }

    def status(self, status: Status) -> dict[str, Any]:
        """Return the object of a status."""
        values = {key: _rounded(value) for key, value in status.to_dict().items()}
        return {"type": "status", "time": self.time(status.totals.time)} | values

    def event(self, moment: float, text: str) -> dict[str, Any]:
        """Return the object of something that happened."""
        return {"type": "event", "time": self.time(moment), "text": text}


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
