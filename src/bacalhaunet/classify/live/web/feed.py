"""A session's state as messages for the page.

Who may see the page: this machine alone, or whoever has the token.

Messages to any number of clients, none of which can hold the sender up.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.live.search import Row
from bacalhaunet.classify.live.status import Reports, Status
from bacalhaunet.classify.live.track import Track
from bacalhaunet.classify.live.tracks import Tracks
from bacalhaunet.errors import ConfigError

COOKIE = "bacalhaunet"
_SHORTEST_TOKEN = 16


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """The rule.

    Attributes:
        token: What one must know; None where only this machine can connect.
    """

    token: str | None

    @classmethod
    def of(cls, host: str, token: str | None) -> Access:
        """Return the rule for an address: beyond loopback a token is made unless one is given.

        Raises:
            ConfigError: If the token is short.
        """
        if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isalnum()):
            raise ConfigError("the token is too easy", allowed=f"{_SHORTEST_TOKEN} letters and digits or more")
        if token is None and not is_loopback(host):
            token = secrets.token_hex(16)
        return cls(token)

    def knows(self, given: str | None) -> bool:
        """Return whether ``given`` is the token, in a time that tells nothing."""
        return self.token is None or hmac.compare_digest(self.token.encode(), (given or "").encode())

    def admits(self, host: str | None, cookies: str | None) -> bool:
        """Return whether a request may be answered.

        Without a token its Host must name this machine: a page from elsewhere whose name is made to point here (DNS
        rebinding) is refused.

        Args:
            host: The Host header.
            cookies: The Cookie header.
        """
        if self.token is not None:
            return self.knows(_cookie(cookies))
        return is_loopback(_name(host or ""))


def _name(host: str) -> str:
    """Return a Host header without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _cookie(header: str | None) -> str | None:
    try:
        found = SimpleCookie(header or "").get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None


WAITING = 240
"""Messages that wait for a client at most; the oldest are forgotten first."""

CLIENTS = 16


class Client:
    """One listener's queue."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque(maxlen=WAITING)
        self._changed = threading.Condition()

    def put(self, message: bytes) -> None:
        """Add a message; never waits. Where ``WAITING`` messages wait, the oldest goes."""
        with self._changed:
            self._waiting.append(message)
            self._changed.notify()

    def get(self, timeout: float) -> list[bytes]:
        """Return the messages that wait, after ``timeout`` seconds perhaps none."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout)
            messages = list(self._waiting)
            self._waiting.clear()
            return messages


class Hub:
    """The clients, and what a new one is told first."""

    def __init__(self) -> None:
        self._clients: list[Client] = []
        self._latest: dict[str, bytes] = {}
        self._history: deque[bytes] = deque(maxlen=WAITING - 60)
        self._lock = threading.Lock()

    def publish(self, kind: str, values: dict[str, Any], *, keep: bool = True) -> None:
        """Send a message to all clients.

        Args:
            kind: Its kind.
            values: Its content.
            keep: New clients get the latest of its kind; otherwise as many as are remembered, as of rows.
        """
        text = json.dumps(values, separators=(",", ":"), allow_nan=False)
        message = f"event: {kind}\ndata: {text}\n\n".encode()
        with self._lock:
            if keep:
                self._latest[kind] = message
            else:
                self._history.append(message)
            clients = list(self._clients)
        for client in clients:
            client.put(message)

    def join(self) -> Client | None:
        """Return a new client's queue, with what it must know; None if there are too many clients."""
        client = Client()
        with self._lock:
            if len(self._clients) >= CLIENTS:
                return None
            for message in [*self._latest.values(), *self._history]:
                client.put(message)
            self._clients.append(client)
        return client

    def leave(self, client: Client) -> None:
        """Forget a client."""
        with self._lock:
            self._clients.remove(client)

    @property
    def clients(self) -> int:
        """Number of clients."""
        with self._lock:
            return len(self._clients)


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
