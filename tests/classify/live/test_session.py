"""Sessions over ZMQ: signals are found, nothing holds the source up, and whatever goes wrong is counted."""

import os
import signal
import time

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs scipy")
pytest.importorskip("zmq", reason="needs pyzmq")

from bacalhaunet.classify.live.session import Session, ring_capacity
from bacalhaunet.classify.live.sources import FileAddress, ZmqAddress
from bacalhaunet.classify.live.status import Reports
from bacalhaunet.errors import BacalhauNetError, ConfigError, RecordingError
from tests.classify.fake_engine import PowerEngine
from tests.classify.live.browser import until
from tests.classify.live.streams import SIGNALS, Sink, noise, stream

RATE = 200e3


def listening(sink, **settings):
    settings = {"rate": RATE, "engine": PowerEngine()} | settings
    address = ZmqAddress(f"tcp://127.0.0.1:{sink.port}", sink._push)
    return Session(address, settings.pop("engine"), **settings)


def answered(session):
    """The objects of the signals, once all of ``SIGNALS`` have answers."""
    with session.tracks.lock:
        found = Reports(session.rate, 0.0, 0.0).signals(session.tracks.active)
    return found if len(found) == len(SIGNALS) else None


@pytest.fixture(scope="module")
def samples():
    return stream(1 << 17)


@pytest.mark.parametrize("push", [False, True])
def test_signals_are_found_and_named_without_a_drop(samples, push):
    rows = []
    with Sink(samples, RATE, push=push, numbered=push) as sink, listening(sink, draw=rows.append) as session:
        found = until(lambda: answered(session))
        status = until(lambda: (now := session.status()).latency_s and now)
    for one, (_, center, period) in zip(found, SIGNALS, strict=True):
        assert one["center"] == pytest.approx(center * RATE, abs=0.01 * RATE)
        assert one["symbol_rate"] == pytest.approx(RATE / period, rel=0.01)
        assert one["label"] == "quiet"
        assert 0 < one["confidence"] <= 1
    assert rows
    assert (status.source, status.totals.dropped, status.totals.lost) == ("receiving", 0, 0)
    assert 0 < status.latency_s <= status.latency_max_s
    assert status.searched > 0.2


class SlowEngine(PowerEngine):
    """Takes a second for each call, and fails in the first few."""

    def __init__(self, failures=0):
        super().__init__()
        self.left = failures

    def logits(self, frames):
        time.sleep(0.2)
        if len(frames) > 1 and self.left:
            self.left -= 1
            raise RuntimeError("out of luck")
        return super().logits(frames)


def test_a_slow_network_leaves_out_blocks_but_all_samples_are_searched(samples):
    with Sink(samples, 4 * RATE) as sink, listening(sink, engine=SlowEngine(), rate=4 * RATE) as session:
        until(lambda: answered(session))
        status = until(lambda: (now := session.status()).totals.found > 3e6 and now)
    totals = status.totals
    assert totals.dropped == 0
    assert totals.received - totals.searched <= 2 * (1 << 17)
    assert 0 < totals.classified < 0.9 * totals.found


def test_a_block_that_fails_is_said_and_the_next_is_tried(samples):
    with Sink(samples, RATE) as sink, listening(sink, engine=SlowEngine(failures=2)) as session:
        until(lambda: answered(session))
        assert session.totals().failures == 2
        assert any("out of luck" in line for line in session.events.take())


def test_an_overload_drops_and_counts_and_goes_on(samples, monkeypatch):
    with Sink(samples, 1e6) as sink, listening(sink, capacity=1 << 17, rate=1e6) as session:
        take = session.search._take

        def slow(*arguments):
            time.sleep(0.5)
            take(*arguments)

        monkeypatch.setattr(session.search, "_take", slow)
        until(lambda: session.totals().dropped > 0)
        session.status()
        assert any("dropped" in line for line in session.events.take())
        monkeypatch.setattr(session.search, "_take", take)
        searched = session.totals().searched
        until(lambda: session.totals().searched > searched + (1 << 18))
        totals = session.totals()
    assert totals.dropped > 0
    assert sink.sent >= totals.received  # it was never waited for
    assert totals.dropped + totals.searched <= totals.received


def test_a_source_that_comes_again_is_gone_on_with(samples):
    with Sink(samples, RATE) as sink, listening(sink) as session:
        until(lambda: answered(session))
        port, numbers = sink.port, {track.number for track in session.tracks.active}
        sink.__exit__()
        until(lambda: not session.tracks.active)
        session.status()
        with Sink(samples, RATE, port=port):
            until(lambda: answered(session))
            session.status()
            assert session.totals().restarts == 1
            assert any("came anew" in line for line in session.events.take())
            assert numbers.isdisjoint(track.number for track in session.tracks.active)


def test_strange_messages_are_counted_and_the_rest_is_worked_on(samples):
    damaged = samples.copy()
    damaged[1000] = np.nan
    with Sink(damaged, RATE) as sink, listening(sink) as session:
        until(lambda: sink.sent > 0 and session.totals().received > 0)
        sink._socket.send(b"seven b")
        until(lambda: session.totals().malformed == 1)
        until(lambda: session.totals().replaced > 0)
        until(lambda: answered(session))
        session.status()
        said = "\n".join(session.events.take())
    assert "NaN" in said
    assert "whole number" in said


@pytest.mark.parametrize("samples", [np.zeros(1 << 16, np.complex64), np.ones(1 << 16, np.complex64)])
def test_silence_and_a_constant_do_no_harm(samples):
    with Sink(samples, RATE) as sink, listening(sink) as session:
        until(lambda: session.totals().searched > 1e5)
        assert session.totals().failures == 0


def test_noise_alone_has_no_signals():
    with Sink(noise(1 << 17), RATE) as sink, listening(sink) as session:
        until(lambda: session.totals().searched > 2e5)
        assert Reports(RATE, 0.0, 0.0).signals(session.tracks.active) == []


def test_a_recording_ends_with_all_of_it_worked_on(samples, tmp_path):
    samples.tofile(tmp_path / "capture.cf32")
    with Session(FileAddress(str(tmp_path / "capture.cf32"), 1e6), PowerEngine(), rate=1e6) as session:
        until(lambda: not session.running())
        totals = session.totals()
        assert (totals.received, totals.dropped, totals.ended) == (len(samples), 0, True)
        assert totals.searched == len(samples)
        assert answered(session)


def test_a_source_that_cannot_be_opened_is_said_with_its_own_error(tmp_path):
    address = FileAddress(str(tmp_path / "no.cf32"), 1e6)
    with (
        pytest.raises((RecordingError, ConfigError), match=r"no\.cf32"),
        Session(address, PowerEngine(), rate=1e6) as session,
    ):
        until(lambda: not session.running())


def test_a_receiver_that_is_killed_is_said(samples):
    with Sink(samples, RATE) as sink, listening(sink) as session:
        until(lambda: session.totals().received > 0)
        os.kill(session._receiver._process.pid, signal.SIGKILL)
        with pytest.raises(BacalhauNetError, match="receiving process"):
            until(lambda: not session.running())


def test_the_queue_is_bounded():
    assert ring_capacity(1e3, 2) == 1 << 20
    assert ring_capacity(10e6, 2) == 20_000_000
    assert ring_capacity(1e9, 100) == 1 << 25
