"""Addresses, recordings that are played, and receivers of SoapySDR (a made-up module)."""

import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from bacalhaunet.classify.live import sources as addresses
from bacalhaunet.classify.live.queues import Counter, Intake, SampleRing
from bacalhaunet.classify.live.sources import receive
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from bacalhaunet.errors import ConfigError, MissingExtraError, RecordingError
from tests.classify.live.streams import noise


@pytest.fixture
def intake():
    made = Intake(SampleRing.create(1 << 16))
    yield made
    made.ring.close()


def after(intake, count):
    """Stop when so many samples are there, or after ten seconds."""
    end = time.monotonic() + 10
    return lambda: intake.ring[Counter.WRITTEN] >= count or time.monotonic() > end


@pytest.mark.parametrize(
    "source", ["zmq://", "zmq://host", "zmq://:5", "zmq://host:0", "zmq://host:70000", "zmq://h:x"]
)
def test_an_address_without_host_or_port_is_refused(source):
    with pytest.raises(ConfigError, match="host and port"):
        addresses.zmq_address(source, False, False)


def test_addresses_are_as_zmq_takes_them():
    assert addresses.zmq_address("zmq://radio.local:5555/", True, False).endpoint == "tcp://radio.local:5555"
    assert addresses.zmq_address("zmq://[::1]:5555", False, True).endpoint == "tcp://[::1]:5555"


def test_unknown_schemes_are_refused_and_files_are_not():
    with pytest.raises(ConfigError, match="udp://"):
        addresses.check_scheme("udp://host:1")
    addresses.check_scheme("capture.cf32")


@pytest.mark.parametrize(
    "address",
    [
        addresses.ZmqAddress("tcp://a:1", True),
        addresses.SoapyAddress("driver=x", 1e6, 1e8, 3.0),
        addresses.FileAddress("a.cf32", 1e6, loop=True),
    ],
)
def test_addresses_survive_json(address):
    assert addresses.from_json(addresses.to_json(address)) == address


def test_a_recording_is_played_whole_and_no_faster_than_its_rate(intake, tmp_path):
    samples = noise(20_000)
    path = write_sigmf(tmp_path / "capture", samples, 1e5)
    begun = time.monotonic()
    receive(addresses.FileAddress(str(path), 1e5), intake, lambda: False)
    assert time.monotonic() - begun >= 0.2
    assert intake.ring[Counter.WRITTEN] == 20_000
    assert np.array_equal(intake.ring.copy(0, 20_000), samples)


def test_a_loop_begins_again(intake, tmp_path):
    samples = noise(3000)
    samples.tofile(tmp_path / "capture.cf32")
    receive(addresses.FileAddress(str(tmp_path / "capture.cf32"), 1e6, loop=True), intake, after(intake, 7000))
    assert np.array_equal(intake.ring.copy(3000, 3000), samples)


def test_ready_frames_are_no_stream(intake, tmp_path):
    np.save(tmp_path / "frames.npy", np.ones((2, 2, 1024), np.float32))
    with pytest.raises(RecordingError, match="ready frames"):
        receive(addresses.FileAddress(str(tmp_path / "frames.npy"), 1e6), intake, lambda: False)


class FakeDevice:
    """Gives the answers of ``answers`` in turn: a number of samples, or an error code."""

    answers = ()
    said = ()

    def __init__(self, arguments):
        if "missing" in arguments:
            raise RuntimeError("no match")
        self._answers = iter(self.answers)
        self.said = []
        FakeDevice.last = self

    def __getattr__(self, name):
        def record(*arguments):
            self.said.append((name, *arguments))
            return "stream"

        return record

    def readStream(self, stream, buffers, count, timeoutUs):  # noqa: N802 - SoapySDR's name
        ret = next(self._answers)
        if ret > 0:
            buffers[0][:ret] = np.arange(ret)
        return SimpleNamespace(ret=ret)


@pytest.fixture
def soapy(monkeypatch):
    module = SimpleNamespace(
        Device=FakeDevice,
        SOAPY_SDR_RX=1,
        SOAPY_SDR_CF32="CF32",
        SOAPY_SDR_TIMEOUT=-1,
        SOAPY_SDR_OVERFLOW=-4,
        errToStr=lambda code: f"code {code}",
    )
    monkeypatch.setitem(sys.modules, "SoapySDR", module)
    return module


def test_a_receiver_is_set_up_read_and_put_away(soapy, intake):
    FakeDevice.answers = (100, -1, 0, -4, 50)
    receive(addresses.SoapyAddress("driver=fake", 2e6, 1e8, 20.0), intake, after(intake, 150))
    said = FakeDevice.last.said
    assert ("setSampleRate", 1, 0, 2e6) in said
    assert ("setFrequency", 1, 0, 1e8) in said
    assert ("setGain", 1, 0, 20.0) in said
    assert [name for name, *_ in said[-2:]] == ["deactivateStream", "closeStream"]
    assert np.array_equal(intake.ring.copy(100, 50), np.arange(50))
    assert (intake.ring[Counter.GAPS], intake.ring[Counter.SEGMENT]) == (1, 100)


def test_a_receiver_that_is_not_there_or_stops_is_said(soapy, intake):
    with pytest.raises(ConfigError, match="no match"):
        receive(addresses.SoapyAddress("driver=missing", 2e6, 1e8), intake, lambda: False)
    FakeDevice.answers = (-2,)
    with pytest.raises(ConfigError, match="code -2"):
        receive(addresses.SoapyAddress("driver=fake", 2e6, 1e8), intake, lambda: False)
    assert FakeDevice.last.said[-1][0] == "closeStream"


def test_without_soapy_the_error_says_how_to_install_it(monkeypatch, intake):
    monkeypatch.setitem(sys.modules, "SoapySDR", None)
    with pytest.raises(MissingExtraError, match="python3-soapysdr"):
        receive(addresses.SoapyAddress("driver=fake", 2e6, 1e8), intake, lambda: False)


@pytest.mark.parametrize("bind", [False, True])
def test_messages_of_several_parts_are_taken_without_the_key(intake, bind):
    zmq = pytest.importorskip("zmq", reason="needs pyzmq")
    samples, context = noise(100), zmq.Context()
    sink = context.socket(zmq.PUSH)
    sink.set(zmq.LINGER, 0)
    if bind:  # the sink connects, to us
        port = sink.bind_to_random_port("tcp://127.0.0.1")
        sink.unbind(f"tcp://127.0.0.1:{port}")
        sink.connect(f"tcp://127.0.0.1:{port}")
    else:
        port = sink.bind_to_random_port("tcp://127.0.0.1")
    sender = threading.Timer(0.1, sink.send_multipart, [[b"key", samples.tobytes()]])
    sender.start()
    receive(addresses.ZmqAddress(f"tcp://127.0.0.1:{port}", True, bind), intake, after(intake, 100))
    sender.join()
    sink.close()
    context.term()
    assert np.array_equal(intake.ring.copy(0, 100), samples)
    assert intake.ring[Counter.MALFORMED] == 0


def test_an_address_that_zmq_cannot_use_is_said(intake):
    pytest.importorskip("zmq", reason="needs pyzmq")
    with pytest.raises(ConfigError, match="cannot be used"):
        receive(addresses.ZmqAddress("tcp://192.0.2.1:5555", bind=True), intake, lambda: False)
