"""Recordings played to their end: what ended is named no more, and what is there at the end is named."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs scipy")

from bacalhaunet.classify.classifier import Classifier
from bacalhaunet.classify.front_end.regions import Region
from bacalhaunet.classify.front_end.signals import FrontEndSettings, Signal
from bacalhaunet.classify.live.analysis import Analyser
from bacalhaunet.classify.live.queues import Block, Counter, Mailbox, SampleRing
from bacalhaunet.classify.live.search import Search
from bacalhaunet.classify.live.session import Session
from bacalhaunet.classify.live.sources import FileAddress
from bacalhaunet.classify.live.status import Reports
from bacalhaunet.classify.live.tracks import Tracks
from bacalhaunet.radio.class_set import ClassSet
from tests.classify.live.browser import until
from tests.classify.live.streams import NoiseEngine, placed

RATE, BLOCK, COUNT = 1e6, 1 << 18, 400_000
LATE = ("8PSK", 210_000, 390_000, 0.09, 6)
CAPTURE = (
    ("QPSK", 20_000, 380_000, -0.36, 8),
    ("BPSK", 30_000, 150_000, 0.04, 12),  # ends in the first block; the next lies in its band
    LATE,
    ("OOK", 40_000, 200_000, 0.30, 20),  # as well
    ("QPSK", 260_000, 370_000, 0.33, 10),  # begins a moment before the second block
)


@pytest.fixture(scope="module")
def capture():
    return placed(COUNT, CAPTURE)


class Played:
    """A stream searched and classified without a clock; ``cuts`` are the stretches that were classified."""

    def __init__(self, samples, *, lag=0, late=False):
        self.tracks, self.cuts, self._mailbox = Tracks(ClassSet(NoiseEngine.labels)), [], Mailbox()
        self._late = late
        self._analyser = Analyser(Classifier(NoiseEngine()), self.tracks, FrontEndSettings(), hurried=self._hurried)
        there = self._analyser._there

        def noted(channel, sighting, block):
            samples = there(channel, sighting, block)
            whole, ratio = channel.read(0, channel.count), float(channel.ratio)
            if len(samples) >= NoiseEngine.frame_length:
                first = block.start + channel.start + int(np.flatnonzero(whole == samples[0])[0] / ratio)
                self.cuts.append((sighting.signal.center, first, first + int(len(samples) / ratio)))
            return samples

        self._analyser._there = noted
        ring = SampleRing.create(1 << 21)
        ring.arrival = lambda position: position / RATE
        for first in range(0, len(samples), BLOCK):
            ring.append(samples[first : first + BLOCK].view(np.uint8))
        ring[Counter.ENDED] = 1
        search = Search(ring, RATE, self.tracks, self._mailbox, lambda row: None)
        self._blocks = []
        self._mailbox.put = self._blocks.append
        while not search.finished:
            search.take_block()
            while len(self._blocks) > lag:
                self._analyse()
        while self._blocks:
            self._analyse()
        ring.close()

    def _analyse(self):
        self._analyser.analyse(replace(self._blocks.pop(0), late=self._late))

    def _hurried(self):
        return bool(self._blocks)

    def signals(self):
        return Reports(RATE, 0.0, 0.0).signals(self.tracks.active)


def check(signals, shift=0):
    assert [one["label"] for one in signals] == ["signal"] * len(CAPTURE)
    centers = sorted(center for _, _, _, center, _ in CAPTURE)
    assert [one["center"] / RATE for one in sorted(signals, key=lambda one: one["center"])] == pytest.approx(
        centers, abs=0.01
    )
    for one in signals:  # what ended in the first block is not told of the second
        stop = next(stop for _, _, stop, center, _ in CAPTURE if abs(center - one["center"] / RATE) < 0.01)
        assert one["until"] is not None
        assert one["sample"] <= stop + shift


@pytest.mark.parametrize("shift", [-30_000, 0, 50_000, 110_000])
@pytest.mark.parametrize("lag", [0, 2])
def test_signals_are_cut_where_they_are_wherever_blocks_begin(capture, shift, lag):
    room = placed(max(0, shift), ())
    played = Played(np.concatenate([room, capture[max(0, -shift) :]]), lag=lag)
    check(played.signals(), shift)
    for center, first, last in played.cuts:
        _, start, stop, *_ = next(one for one in CAPTURE if abs(one[3] - center) < 0.01)
        assert first >= start + shift - 300
        assert last <= stop + shift + 300


def test_the_last_block_is_looked_at_as_often_as_it_takes():
    bursts = [("QPSK", 20_000 + 45_000 * k, 40_000 + 45_000 * k, -0.4 + 0.19 * k, 8) for k in range(5)]
    played = Played(placed(BLOCK, bursts), late=True)
    assert len(played.signals()) == len(bursts)


def test_a_signal_in_a_region_with_another_is_cut_where_it_is():
    beside = [("QPSK", 0, BLOCK, 0.0, 8), ("8PSK", 0, 120_000, 0.25, 8)]
    region = Region(0, BLOCK, -0.09, 0.34, 2 * 0.02**2, 4096)  # one for both
    block = Block(0, placed(BLOCK, beside), [region], (0.0, 0.3))
    tracks, engine = Tracks(ClassSet(NoiseEngine.labels)), NoiseEngine()
    tracks.follow(block.regions, *block.arrived, length=BLOCK)
    found = [Signal(0, BLOCK, center, 0.17, 0.125, 20.0, room=0.3) for center in (0.0, 0.25)]
    tracks.improve(found, block, 0, BLOCK)
    Analyser(Classifier(engine), tracks, FrontEndSettings()).analyse(block)
    assert [round(track.pool.heard) for track in tracks.active] == [BLOCK // 1024, 120_000 // 1024 + 1]
    assert [track.pool.answer().label for track in tracks.active] == ["signal", "signal"]


def test_a_session_names_what_a_recording_holds_and_says_what_ended(capture, tmp_path):
    capture.tofile(tmp_path / "capture.cf32")
    with Session(FileAddress(str(tmp_path / "capture.cf32"), RATE), NoiseEngine(), rate=RATE) as session:
        until(lambda: not session.running())
        with session.tracks.lock:
            check(Reports(RATE, 0.0, 0.0).signals(session.tracks.active))
