"""A page with a made-up session behind it."""

import threading
from contextlib import contextmanager

import numpy as np

from bacalhaunet.classify.answers import Pool
from bacalhaunet.classify.front_end.signals import Signal
from bacalhaunet.classify.live.search import Row
from bacalhaunet.classify.live.status import Events, Reports, Totals
from bacalhaunet.classify.live.tracks import Run, Track, Tracks
from bacalhaunet.classify.live.web.server import Access, Feed, Hub, WebServer
from bacalhaunet.radio.class_set import ClassSet

LABELS = ("BPSK", "QPSK", "FM")
RATE, CENTER = 1e6, 100e6


def track(number, label, center, now):
    pool = Pool(ClassSet(LABELS), memory_s=3.0)
    row = np.full((8, 3), 0.05, np.float32)
    row[:, LABELS.index(label)] = 0.9
    pool.add(row, time=now)
    points = np.exp(2j * np.pi * np.arange(200) / 4 + 0.1j * np.sin(np.arange(200))).astype(np.complex64)
    half = 0.05
    return Track(
        *(number, now - 20, now, center - half, center + half, pool),
        signal=Signal(0, 1000, center, 2 * half, 0.08, 20.0),
        points=points,
        runs=[Run(now - 20, now - 10, "FM", 0.5), Run(now - 10, now, label, 0.9)],
        newest=1000,
    )


class Made:
    """A session that goes on by one row with each step."""

    def __init__(self):
        self.hub, self.tracks, self.count = Hub(), Tracks(ClassSet(LABELS)), 0
        self.feed = Feed(self.hub, Reports(RATE, CENTER, 1.7e9), "zmq://made:1", "made.onnx")
        self.events, self.generator = Events(RATE), np.random.default_rng(1)

    def step(self):
        self.count += 1
        now = 100 + self.count / 12
        level = -60 + self.generator.standard_normal(1024)
        level[200:300] += 30
        level[700:720] += 10
        self.feed.row(Row(now, 1 / 12, level.astype(np.float32)))
        with self.tracks.lock:
            self.tracks.active = [track(1, "BPSK", -0.256, now), track(2, "QPSK", 0.193, now)]
        self.feed.signals(self.tracks)
        if self.count % 6 == 0:
            received = int(RATE * self.count / 12)
            totals = Totals(now, received, received, 1000 * self.count, 500 * self.count, connected=True)
            self.feed.status(self.events.status(totals, [0.1]), self.events.take())


@contextmanager
def served(made, port=0, access=None):
    """Serve a page while its session goes on."""
    stop = threading.Event()

    def go_on():
        while not stop.wait(0.05):
            made.step()

    thread = threading.Thread(target=go_on, daemon=True)
    with WebServer(made.hub, "127.0.0.1", port, access or Access(None)) as server:
        thread.start()
        try:
            yield server
        finally:
            stop.set()
            thread.join()
