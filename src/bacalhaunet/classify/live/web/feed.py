"""A session's state as messages for the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.live.reports import Reports
from bacalhaunet.classify.live.status import Status
from bacalhaunet.classify.live.track import Track
from bacalhaunet.classify.live.tracks import Tracks
from bacalhaunet.classify.live.waterfall import Row
from bacalhaunet.classify.live.web.hub import Hub

STEP_DB = 0.5
_POINT_SCALE = 48
_MOST_ENDED = 40
_FLOOR_PERCENTILE = 20


class Feed:
    """Publishes a session to a hub.

    Args:
        hub: The clients.
        reports: Makes frequencies and times.
        source: What the source is called.
        network: What the network is called.
    """

    def __init__(self, hub: Hub, reports: Reports, source: str, network: str) -> None:
        self._hub, self._reports = hub, reports
        hub.publish(
            "hello",
            {"source": source, "network": network, "rate": reports.rate, "center": reports.center, "step_db": STEP_DB},
        )

    def row(self, row: Row) -> None:
        """Publish a row of the waterfall: each bin a byte, half a dB from the lowest of the row on."""
        base = float(np.floor(row.decibels.min()))
        levels = np.clip((row.decibels - base) / STEP_DB, 0, 255).astype(np.uint8)
        values = {
            "time": self._reports.seconds(row.time),
            "seconds": round(row.seconds, 4),
            "base": base,
            "floor": round(float(np.percentile(row.decibels, _FLOOR_PERCENTILE)), 1),
            "levels": _text(levels),
        }
        self._hub.publish("row", values, keep=False)

    def signals(self, tracks: Tracks) -> None:
        """Publish all signals with their latest symbols and the history of their labels."""
        with tracks.lock:
            active = [self._track(one, True) for one in tracks.active]
            ended = [self._track(one, False) for one in tracks.ended[-_MOST_ENDED:]]
        self._hub.publish("signals", {"active": active, "ended": ended})

    def status(self, status: Status, events: Sequence[str]) -> None:
        """Publish how the session stands and what happened."""
        self._hub.publish("status", self._reports.status(status) | {"clients": self._hub.clients})
        for text in events:
            self._hub.publish("event", self._reports.event(status.totals.time, text), keep=False)

    def _track(self, track: Track, active: bool) -> dict[str, Any]:
        told = self._reports
        shown = told.signals([track])
        # The latest label stands as long as the signal does.
        runs = [*track.runs[:-1], *(replace(run, stop=track.heard) for run in track.runs[-1:])]
        values = shown[0] if shown else {"signal": track.number, "label": None}
        values |= {
            "low": told.center + track.low * told.rate,
            "high": told.center + track.high * told.rate,
            "first": told.seconds(track.first),
            "last": told.seconds(track.heard),
            "runs": [
                [told.seconds(run.start), told.seconds(run.stop), run.label, round(run.confidence, 3)] for run in runs
            ],
        }
        return values | ({"points": _text(_points(track.points))} if active else {})


def _points(points: NDArray[np.complex64]) -> NDArray[np.int8]:
    """Return I, Q, I, Q as bytes, 48 for 1."""
    return np.clip(np.round(points.view(np.float32) * _POINT_SCALE), -127, 127).astype(np.int8)


def _text(values: NDArray[np.generic]) -> str:
    return base64.b64encode(values.tobytes()).decode()
