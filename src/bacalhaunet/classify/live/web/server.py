"""The server: the page's files and a stream of server-sent events, from the standard library."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socket import AF_INET6
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from bacalhaunet.classify.live.web.feed import COOKIE, Access, Hub
from bacalhaunet.errors import ConfigError

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
        """End; clients are told by the end of their stream."""
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
