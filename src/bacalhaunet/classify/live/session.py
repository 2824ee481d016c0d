"""A session of listening: the receiver's process, a thread that searches, a thread that classifies, and what they say.

with Session(address, engine, rate=10e6) as session:
    while session.running():
        time.sleep(1)
        print(session.status(), session.signals())
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from bacalhaunet.classify.classifier import Classifier, as_classifier
from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.front_end.signals import FrontEndSettings
from bacalhaunet.classify.live.analysis import Analyser
from bacalhaunet.classify.live.queues import Counter, Mailbox, SampleRing
from bacalhaunet.classify.live.search import Row, Search, block_length
from bacalhaunet.classify.live.sources import Address, Receiver
from bacalhaunet.classify.live.status import SHARES_S, Events, Status, Totals
from bacalhaunet.classify.live.tracks import Tracks

QUEUE_S = 2.0
"""Seconds of samples that wait at most, unless the user says otherwise."""

_RING = (1 << 20, 1 << 25)
_LATENCIES = 512
_SWITCH_S = 0.0005
_WAIT_S = 0.1
_BACKLOG_S = 0.15
_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 1.0


def ring_capacity(rate: float, seconds: float) -> int:
    """Return the samples of the ring: 2^20 to 2^25, which are 8 to 256 MiB."""
    return int(min(max(rate * seconds, _RING[0]), _RING[1]))


class Session:
    """Listens while it is open; a context manager.

    Args:
        address: The source.
        network: The network.
        rate: Samples a second.
        settings: What of the front end is set by hand.
        capacity: Samples of the queue; None for two seconds.
        draw: Gets the rows of the waterfall, in the thread that searches; it must not wait.

    Attributes:
        rate: Samples a second.
        tracks: The signals.
        events: What happened.
        began: When it began, on ``time.monotonic``'s clock.
    """

    def __init__(
        self,
        address: Address,
        network: Engine | Classifier,
        *,
        rate: float,
        settings: FrontEndSettings | None = None,
        capacity: int | None = None,
        draw: Callable[[Row], None] = lambda row: None,
    ) -> None:
        self.rate = rate
        classifier = as_classifier(network)
        self.ring = SampleRing.create(capacity or ring_capacity(rate, QUEUE_S))
        self.tracks, self.mailbox = Tracks(classifier.classes, classifier.calibration), Mailbox()
        self.events = Events(rate)
        self.search = Search(self.ring, rate, self.tracks, self.mailbox, draw)
        self.analyser = Analyser(
            classifier,
            self.tracks,
            settings or FrontEndSettings(),
            self._let_search_catch_up,
            lambda: self.mailbox.waiting,
        )
        self.began = time.monotonic()
        self._receiver = Receiver(address, self.ring)
        self._stop, self._open = threading.Event(), ExitStack()
        self._tolerated_s = _BACKLOG_S + 2 * block_length(rate) / rate
        self._failures = 0
        self._latencies: deque[tuple[float, float]] = deque(maxlen=_LATENCIES)
        self._threads = [
            threading.Thread(target=self._searching, name="search", daemon=True),
            threading.Thread(target=self._classifying, name="classify", daemon=True),
        ]

    def __enter__(self) -> Session:
        """Start the receiver and the threads."""
        self._switch = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)  # the search must not wait long for the classification to yield
        self.analyser.warm_up(1 << 15)
        self._open.enter_context(self._receiver)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them."""
        self._stop.set()
        self._open.close()
        for thread in self._threads:
            thread.join()
        sys.setswitchinterval(self._switch)
        self.ring.close()

    def running(self) -> bool:
        """Return whether there are samples to come or to work on.

        Raises:
            BacalhauNetError: If the source failed.
        """
        return self._receiver.check() or not (self.search.finished and self.mailbox.idle)

    def status(self) -> Status:
        """Return how things stand since the last call; the caller's alone."""
        since = time.monotonic() - SHARES_S
        return self.events.status(self.totals(), [taken for when, taken in list(self._latencies) if when > since])

    def totals(self) -> Totals:
        """Return what was counted since the beginning."""
        ring = self.ring
        return Totals(
            time=time.monotonic(),
            received=ring[Counter.WRITTEN],
            searched=self.search.searched,
            found=self.search.found,
            classified=self.analyser.classified,
            dropped=self.search.dropped,
            lost=ring[Counter.LOST],
            gaps=ring[Counter.GAPS],
            replaced=ring[Counter.REPLACED],
            malformed=ring[Counter.MALFORMED],
            restarts=ring[Counter.RESTARTS],
            failures=self._failures,
            connected=bool(ring[Counter.CONNECTED]),
            ended=bool(ring[Counter.ENDED]),
        )

    def _searching(self) -> None:
        while not self._stop.is_set():
            self._guarded(self.search.take_block)

    def _classifying(self) -> None:
        while not self._stop.is_set():
            block = self.mailbox.get(_WAIT_S)
            if block is None:
                continue
            try:
                if self._guarded(lambda block=block: self.analyser.analyse(block)):  # type: ignore[misc]
                    now = time.monotonic()
                    self._latencies.append((now, now - block.arrived[0]))
            finally:
                self.mailbox.done()

    def _let_search_catch_up(self) -> None:
        """Leave the processor to the search for a while where it is behind: what it misses nobody sees."""
        end = time.monotonic() + _LONGEST_PAUSE_S
        while self.search.backlog_s > self._tolerated_s and time.monotonic() < end and not self._stop.is_set():
            time.sleep(_PAUSE_S)

    def _guarded(self, work: Callable[[], object]) -> bool:
        """Do one block's work; an error in it is said and counted, and the next block is tried: it stays alive."""
        try:
            work()
        except Exception as error:  # whatever a strange block can cause
            self._failures += 1
            self.events.add(f"a block failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
            time.sleep(_WAIT_S)
            return False
        return True
