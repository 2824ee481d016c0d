"""What ``bacalhaunet listen`` says: JSON lines, a table on a terminal, and the page."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from jsonargparse import Namespace
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.live.search import Row
from bacalhaunet.classify.live.session import Session
from bacalhaunet.classify.live.status import Reports, Status
from bacalhaunet.classify.live.web.server import Access, Feed, Hub, WebServer
from bacalhaunet.errors import ConfigError

_EVENTS = 6


class Output(Protocol):
    """Takes what a session says."""

    def look(self, session: Session) -> None:
        """Look at the session, a few times a second."""

    def show(self, session: Session, status: Status, events: Sequence[str]) -> None:
        """Say how the session stands, once an interval, and what happened."""


class Printed(ABC):
    """An output on standard output; a context manager.

    Args:
        reports: Makes frequencies and times.
    """

    def __init__(self, reports: Reports) -> None:
        self.reports = reports

    def __enter__(self) -> Printed:
        """Begin."""
        return self

    def __exit__(  # noqa: B027 - an output may have nothing to end
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def look(self, session: Session) -> None:  # noqa: B027
        """Print nothing: an interval is not over."""

    @abstractmethod
    def show(self, session: Session, status: Status, events: Sequence[str]) -> None:
        """Print how the session stands."""

    @abstractmethod
    def summary(self, session: Session) -> None:
        """Print what was counted, at the end."""


def open_output(as_json: bool, reports: Reports) -> Printed:
    """Return the table if standard output is a terminal, else JSON lines."""
    return JsonLines(reports) if as_json or not sys.stdout.isatty() else LiveTable(reports)


def summary_object(session: Session) -> dict[str, Any]:
    """Return what was counted in a session, with its duration in seconds."""
    totals = session.totals()
    counted = {key: value for key, value in vars(totals).items() if key not in ("time", "connected", "ended")}
    return {"type": "summary", "seconds": round(totals.time - session.began, 3)} | counted


class JsonLines(Printed):
    """A JSON object a line: ``event``, ``signal``, ``status``, and at the end ``summary``.

    A signal that goes on is printed every interval, one that ended once, however short it was.
    """

    def __init__(self, reports: Reports) -> None:
        super().__init__(reports)
        self._before: dict[int, dict[str, Any]] = {}

    def show(self, session: Session, status: Status, events: Sequence[str]) -> None:
        """Print an object for each event, for each signal, and for the status."""
        happened = [self.reports.event(status.totals.time, text) for text in events]
        _lines([*happened, *self._signals(session), self.reports.status(status)])

    def _signals(self, session: Session) -> list[dict[str, Any]]:
        with session.tracks.lock:
            there = self.reports.signals([*session.tracks.ended, *session.tracks.active])
        before, self._before = self._before, {one["signal"]: one for one in there}
        return [one for one in there if one["until"] is None or before.get(one["signal"]) != one]

    def summary(self, session: Session) -> None:
        """Print the summary."""
        _lines([summary_object(session)])


def _lines(objects: Sequence[dict[str, Any]]) -> None:
    print("\n".join(json.dumps(one) for one in objects), flush=True)


class LiveTable(Printed):
    """A table that is drawn anew each interval, with the status and the latest events."""

    def __init__(self, reports: Reports) -> None:
        super().__init__(reports)
        self._events: deque[str] = deque(maxlen=_EVENTS)
        self._live = Live(Text("waiting for the source"), console=Console(highlight=False), auto_refresh=False)

    def __enter__(self) -> LiveTable:
        """Take the terminal."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back; the last table stays."""
        self._live.stop()

    def show(self, session: Session, status: Status, events: Sequence[str]) -> None:
        """Draw the table."""
        self._events.extend(f"{time.strftime('%H:%M:%S')} {text}" for text in events)
        with session.tracks.lock:
            rows = table(self.reports.signals(session.tracks.active))
        self._live.update(Group(rows, status_line(status), *map(Text, self._events)), refresh=True)

    def summary(self, session: Session) -> None:
        """Print the summary under the table."""
        values = summary_object(session)
        self._live.console.print(
            f"{values['seconds']:.1f} s: {values['received']} samples received, {values['searched']} searched, "
            f"{values['dropped']} dropped, {values['lost']} lost on the way",
            soft_wrap=True,
        )


def table(signals: Sequence[dict[str, Any]]) -> Table:
    """Return the table of signals; those that ended are faint."""
    made = Table("center", "bandwidth", "symbol rate", "SNR", "label", "confidence")
    for one in signals:
        rate, snr = one["symbol_rate"], one["snr_db"]
        made.add_row(
            hertz(one["center"]),
            hertz(one["bandwidth"]),
            "" if rate is None else hertz(rate).replace("Hz", "Bd"),
            "" if snr is None else f"{snr:.0f} dB",
            one["label"] if one["until"] is None else f"{one['label']} (ended)",
            f"{100 * one['confidence']:.0f} %",
            style=None if one["until"] is None else "dim",
        )
    if not signals:
        made.add_row("no signal", "", "", "", "", "")
    return made


def status_line(status: Status) -> Text:
    """Return how the session stands, in a line."""
    totals = status.totals
    parts = [status.source, f"{status.rate / 1e6:.3f} Msamples/s", f"{totals.dropped} dropped"]
    if totals.lost or totals.gaps:
        parts.append(f"{totals.lost} lost on the way, {totals.gaps} gaps")
    parts.append(f"{100 * status.searched:.0f} % searched")
    if status.coverage is not None:
        parts.append(f"{100 * status.coverage:.1f} % of the signals classified")
    if status.latency_s is not None:
        parts.append(f"latency {1000 * status.latency_s:.0f} ms")
    return Text(", ".join(parts))


def hertz(value: float) -> str:
    """Return a frequency with its unit."""
    for unit, name in ((1e9, "GHz"), (1e6, "MHz"), (1e3, "kHz")):
        if abs(value) >= unit:
            return f"{value / unit:.6g} {name}"
    return f"{value:.6g} Hz"


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

    def look(self, session: Session) -> None:
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
