"""Messages to any number of clients, none of which can hold the sender up."""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import Any

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
