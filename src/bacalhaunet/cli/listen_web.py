"""The page of ``bacalhaunet listen --web``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jsonargparse import Namespace

from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.live.search import Row
from bacalhaunet.classify.live.session import Session
from bacalhaunet.classify.live.status import Reports, Status
from bacalhaunet.classify.live.web.server import Access, Feed, Hub, WebServer
from bacalhaunet.errors import ConfigError


class Page:
    """An output that feeds the page.

    Args:
        feed: Publishes to the clients.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def row(self, row: Row) -> None:
        """Send a row of the waterfall."""
        self._feed.row(row)

    def step(self, session: Session) -> None:
        """Send the signals."""
        self._feed.signals(session.tracks)

    def show(self, session: Session, status: Status, events: Sequence[str]) -> None:
        """Send the status and the events."""
        self._feed.status(status, events)


@contextmanager
def open_page(arguments: Namespace, reports: Reports, engine: Engine) -> Iterator[Page]:
    """Serve the page and say where, on standard error.

    Raises:
        ConfigError: If the port or the token cannot be used.
    """
    if not 0 <= arguments.web <= 65535:
        raise ConfigError(f"the port is {arguments.web}", allowed="0 to 65535; 0 takes a free one")
    hub = Hub()
    feed = Feed(hub, reports, arguments.source, Path(engine.target).name)
    access = Access.of(arguments.web_host, arguments.web_token)
    with WebServer(hub, arguments.web_host, arguments.web, access) as server:
        print(f"page: {server.url}", file=sys.stderr, flush=True)
        yield Page(feed)
