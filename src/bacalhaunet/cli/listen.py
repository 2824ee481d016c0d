"""``bacalhaunet listen``: name the modulations of a live stream."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.recordings import add_network
from bacalhaunet.errors import BacalhauNetError, ConfigError

if TYPE_CHECKING:
    from bacalhaunet.classify.front_end.signals import FrontEndSettings
    from bacalhaunet.classify.live.session import Session
    from bacalhaunet.classify.live.sources import Address
    from bacalhaunet.cli.listen_output import Output

PORT = 8073
"""Port of the page unless another is given."""

_LOOK_S = 0.25
_EPILOG = (
    "examples: 'bacalhaunet listen zmq://127.0.0.1:5555 --rate 1e6' takes complex samples from a ZMQ PUB sink of GNU "
    "Radio and prints a table, or JSON lines into a pipe; '--web' serves a page with the waterfall at "
    f"http://127.0.0.1:{PORT}; 'listen soapy://driver=rtlsdr --rate 2.4e6 --center 433.92e6' listens to a receiver, "
    "'listen capture.cf32 --rate 1e6' plays a recording at its rate. Put '--web' last, or give it its port: "
    f"'--web {PORT}'."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("source", type=str, help="zmq://HOST:PORT, soapy://driver=NAME, or a recording to play")
    add("--rate", type=float | None, default=None, help="samples a second; a recording may say it itself")
    add(
        "--center",
        type=float | None,
        default=None,
        help="frequency of the middle of the band, in Hz (a recording's own, else 0); a receiver is tuned to it",
    )
    add_network(parser)
    add(
        "--symbol-rate", type=float | None, default=None, help="symbols a second of every signal, in place of estimates"
    )
    add(
        "--bandwidth", type=float | None, default=None, help="width of every signal's band in Hz, in place of estimates"
    )
    add("--pull", action="store_true", help="the ZMQ sink is a PUSH sink, not PUB")
    add("--bind", action="store_true", help="wait for the ZMQ sink to connect, instead of connecting to it")
    add("--gain", type=float | None, default=None, help="gain of a receiver in dB (automatic)")
    add("--channel", type=int, default=0, help="channel of a receiver")
    add("--type", type=str | None, default=None, help="sample type of a recording, as for classify")
    add("--loop", action="store_true", help="play a recording again and again")
    add("--queue", type=float | None, default=None, help="seconds of samples that may wait (2; at most 256 MiB)")
    add("--interval", type=float, default=1.0, help="seconds from one print to the next")
    add("--duration", type=float | None, default=None, help="stop after so many seconds (at Ctrl-C)")
    add("--json", action="store_true", help="print JSON lines, on a terminal as well")
    add("--web", type=int | None, nargs="?", const=PORT, default=None, metavar="PORT", help="serve a page")
    add(
        "--web-host", type=str, default="127.0.0.1", help="address of the page; beyond this machine it asks for a token"
    )
    add("--web-token", type=str | None, default=None, help="the token (one is made where it is needed)")


def run(arguments: Namespace) -> None:
    """Listen until the source ends, the time is up, or Ctrl-C."""
    from bacalhaunet.classify.classifier import open_classifier
    from bacalhaunet.classify.live.session import Session, ring_capacity
    from bacalhaunet.classify.live.status import Reports
    from bacalhaunet.cli.listen_output import open_output, open_page

    _check(arguments)
    _complete(arguments)
    address, rate = address_of(arguments)
    settings = _settings(arguments, rate)
    # One thread: the other cores have the search and the receiver.
    classifier = open_classifier(arguments.network, arguments.engine, threads=1)
    reports = Reports(rate, arguments.center, time.time() - time.monotonic())
    with ExitStack() as opened:
        printed = open_output(arguments.json, reports)
        outputs: list[Output] = [printed]
        feed = None
        if arguments.web is not None:
            feed = opened.enter_context(open_page(arguments, reports, classifier.engine))
            outputs.append(feed)
        stopped = opened.enter_context(_interrupts())
        session = Session(
            address,
            classifier,
            rate=rate,
            settings=settings,
            capacity=None if arguments.queue is None else ring_capacity(rate, arguments.queue),
            draw=feed.row if feed is not None else lambda row: None,
        )
        opened.enter_context(printed)
        with session:
            _loop(session, outputs, arguments.interval, _until(session, arguments.duration, stopped))
        printed.summary(session)


def _until(session: Session, duration: float | None, stopped: Callable[[], bool]) -> Callable[[], bool]:
    """Return what says whether the time is up or an interrupt came; a source that has ended is worked through."""
    end = math.inf if duration is None else time.monotonic() + duration
    return lambda: stopped() or (time.monotonic() >= end and not session.totals().ended)


def _loop(session: Session, outputs: list[Output], interval: float, stopped: Callable[[], bool]) -> None:
    """Say how things stand until there is nothing to come, or the user wants no more.

    Raises:
        BacalhauNetError: If the source failed; after all else was said.
    """
    next_time, going = time.monotonic(), True
    failed: BacalhauNetError | None = None
    while going:
        next_time = max(next_time + interval, time.monotonic())  # late prints are not made up for
        waiting = True
        while going and waiting:
            left = next_time - time.monotonic()
            waiting = left > _LOOK_S
            time.sleep(min(_LOOK_S, max(left, 0.0)))
            for output in outputs:
                output.look(session)
            try:
                going = session.running() and not stopped()
            except BacalhauNetError as error:
                going, failed = False, error
        status, events = session.status(), session.events.take()
        for output in outputs:
            output.show(session, status, events)
    if failed is not None:
        raise failed


def _complete(arguments: Namespace) -> None:
    """Take the rate and the centre frequency that a recording holds, where none are given.

    Raises:
        RecordingError: If a recording cannot be opened.
    """
    if "://" not in arguments.source and None in (arguments.rate, arguments.center):
        from bacalhaunet.data.recordings.recording import open_recording

        recording = open_recording(arguments.source, arguments.type)
        arguments.rate = recording.sample_rate if arguments.rate is None else arguments.rate
        if arguments.center is None and recording.captures:
            arguments.center = recording.captures[0].frequency
    arguments.center = arguments.center or 0.0


def address_of(arguments: Namespace) -> tuple[Address, float]:
    """Return where samples come from and how many a second.

    Raises:
        ConfigError: If the source cannot be one, or its rate is unknown.
    """
    from bacalhaunet.classify.live import sources as addresses

    source, rate = arguments.source, arguments.rate
    addresses.check_scheme(source)
    scheme, separator, place = source.partition("://")
    if rate is None:
        raise ConfigError("the sample rate is unknown", where=source, action="pass --rate, in samples a second")
    if not separator:
        return addresses.FileAddress(source, rate, arguments.type, arguments.loop), rate
    if scheme == "zmq":
        addresses.zmq_module()  # says at once if it is missing
        return addresses.zmq_address(source, arguments.pull, arguments.bind), rate
    addresses.soapy_module()
    return addresses.SoapyAddress(place, rate, arguments.center, arguments.gain, arguments.channel), rate


def _check(arguments: Namespace) -> None:
    for name, low, high in (("rate", 1e3, 1e9), ("interval", 0.1, 3600), ("duration", 0, 1e9), ("queue", 0.01, 1e3)):
        value = getattr(arguments, name)
        if value is not None and not low <= value <= high:
            raise ConfigError(f"--{name} is {value:g}", allowed=f"{low:g} to {high:g}")


def _settings(arguments: Namespace, rate: float) -> FrontEndSettings:
    from bacalhaunet.classify.front_end.signals import FrontEndSettings

    return FrontEndSettings(
        bandwidth=None if arguments.bandwidth is None else arguments.bandwidth / rate,
        symbol_rate=None if arguments.symbol_rate is None else arguments.symbol_rate / rate,
    )


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Give what says whether Ctrl-C or SIGTERM came; the second one ends the command at once.

    An exception in the middle of anything, as Ctrl-C usually is, could leave a lock locked that other threads need.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield came.is_set
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        if came.is_set():
            raise KeyboardInterrupt
        came.set()

    before = [(number, signal.signal(number, interrupt)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield came.is_set
    finally:
        for number, handler in before:
            signal.signal(number, handler)
