"""The page: who may see it, a session's state as messages to any number of clients, and the server."""

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
from functools import partial
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socket import AF_INET6
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.live.search import Row
from bacalhaunet.classify.live.status import Reports, Status
from bacalhaunet.classify.live.tracks import Track, Tracks
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

    def knows(self, word: str | None) -> bool:
        """Return whether a word is the token, in a time that tells nothing."""
        return self.token is None or hmac.compare_digest(self.token.encode(), (word or "").encode())

    def admits(self, host: str | None, cookies: str | None) -> bool:
        """Return whether a request with these headers, Host and Cookie, may be answered.

        Without a token its Host must name this machine: a page from elsewhere whose name is made to point here (DNS
        rebinding) is refused.
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
        cookie = SimpleCookie(header or "").get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie else None


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
    """The clients, and what a new one is reports first."""

    def __init__(self) -> None:
        self._clients: list[Client] = []
        self._latest: dict[str, bytes] = {}
        self._history: deque[bytes] = deque(maxlen=WAITING - 60)
        self._lock = threading.Lock()

    def publish(self, kind: str, values: dict[str, Any], *, keep: bool = True) -> None:
        """Send a message to all clients.

        New clients get the latest of its kind; without ``keep`` as many as are remembered, as of rows.
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
        hello = {"source": source, "network": network, "rate": reports.rate, "center": reports.center}
        hub.publish("hello", hello | {"step_db": STEP_DB})

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
        reports = self._reports
        shown = reports.signals([track])
        # The latest label stands as long as the signal does.
        runs = [*track.runs[:-1], *(replace(run, stop=track.heard) for run in track.runs[-1:])]
        values = shown[0] if shown else {"signal": track.number, "label": None}
        low, high = (reports.center + edge * reports.rate for edge in (track.low, track.high))
        first, last = reports.seconds(track.first), reports.seconds(track.heard)
        history = [[*map(reports.seconds, (one.start, one.stop)), one.label, round(one.confidence, 3)] for one in runs]
        values |= {"low": low, "high": high, "first": first, "last": last, "runs": history}
        return values | ({"points": _text(_points(track.points))} if active else {})


def _points(points: NDArray[np.complex64]) -> NDArray[np.int8]:
    """Return I, Q, I, Q as bytes, 48 for 1."""
    return np.clip(np.round(points.view(np.float32) * _POINT_SCALE), -127, 127).astype(np.int8)


def _text(values: NDArray[np.generic]) -> str:
    return base64.b64encode(values.tobytes()).decode()


_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_PATHS = {
    "/": "index.html",
    **{f"/{name}": name for name in ("live.css", "live.js", "waterfall.js", "charts.js", "stream.js")},
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STALLED_S = 10.0
_SILENCE_S = 2.0


@dataclass(frozen=True)
class _Shared:
    hub: Hub
    access: Access
    stop: threading.Event


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that goes away in the middle is no error of ours."""


class _ServerV6(_Server):
    address_family = AF_INET6


class WebServer:
    """Serves the page while it is open; a context manager.

    Args:
        hub: What is sent to the page.
        host: Address to listen at.
        port: Port; 0 takes a free one.
        access: Who may see it.

    Attributes:
        port: The port.
        url: Where the page is, with the token.

    Raises:
        ConfigError: If the address cannot be used.
    """

    def __init__(self, hub: Hub, host: str, port: int, access: Access) -> None:
        self._shared = _Shared(hub, access, threading.Event())
        kind = _ServerV6 if ":" in host else _Server
        try:
            self._server = kind((host, port), partial(_Handler, self._shared))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"the page cannot be served: {error}", where=f"{host}, port {port}", action="--web PORT takes another"
            ) from error
        self.port = int(self._server.server_address[1])
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/" + (f"?token={access.token}" if access.token else "")
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", daemon=True)

    def __enter__(self) -> WebServer:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; clients are reports by the end of their stream."""
        self._shared.stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bacalhaunet"
    sys_version = ""
    timeout = _STALLED_S

    def __init__(self, shared: _Shared, *arguments: object) -> None:
        self._shared = shared
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer with a file or the stream."""
        parts = urlsplit(self.path)
        token = parse_qs(parts.query).get("token", [None])[0]
        access = self._shared.access
        if token is not None and access.token is not None and parts.path == "/" and access.knows(token):
            self._enter(token)
        elif not access.admits(self.headers.get("Host"), self.headers.get("Cookie")):
            self._say(HTTPStatus.FORBIDDEN, "not allowed: open the address that 'bacalhaunet listen' printed")
        elif parts.path == "/events":
            self._stream()
        elif parts.path in _PATHS:
            name = _PATHS[parts.path]
            self._send(HTTPStatus.OK, (files(__package__) / "page" / name).read_bytes(), _TYPES[name.split(".")[1]])
        else:
            self._say(HTTPStatus.NOT_FOUND, "there is no such page")

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing: standard error is the command's."""

    def _enter(self, token: str) -> None:
        """Keep the token in a cookie, and out of the address that is shown, kept and sent on."""
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        self.send_header("Set-Cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict")
        self._end(0)

    def _say(self, status: HTTPStatus, text: str) -> None:
        self._send(status, f"{text}\n".encode(), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, body: bytes, type_: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type_)
        self._end(len(body))
        self.wfile.write(body)

    def _end(self, length: int | None) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if length is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _stream(self) -> None:
        """Send messages as they come; a client that takes nothing for ten seconds is left."""
        client = self._shared.hub.join()
        if client is None:
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are open")
            return
        try:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/event-stream")
            self._end(None)
            while not self._shared.stop.is_set():
                self.wfile.write(b"".join(client.get(_SILENCE_S)) or b": still here\n\n")
                self.wfile.flush()
        except OSError:  # the client went away, or stalled
            self.close_connection = True
        finally:
            self._shared.hub.leave(client)
