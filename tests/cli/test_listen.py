"""``bacalhaunet listen``: what it prints, its page, its end and its errors."""

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="needs scipy")
pytest.importorskip("zmq", reason="needs pyzmq")

from bacalhaunet.classify import classifier
from bacalhaunet.classify.live.status import Status, Totals
from bacalhaunet.cli.listen_output import hertz, status_line, table
from bacalhaunet.cli.main import main
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from tests.classify.fake_engine import PowerEngine
from tests.classify.live.browser import until
from tests.classify.live.streams import SIGNALS, NoiseEngine, Sink, placed, stream

ROOT = Path(__file__).parents[2]
RATE, ON_AIR = 250e3, 433e6

PROGRAM = """
import sys
from bacalhaunet.classify import classifier
from bacalhaunet.cli.main import main
from tests.classify.fake_engine import PowerEngine
classifier.open_engine = lambda target, engine="auto", threads=None: PowerEngine()
sys.exit(main(["listen", *sys.argv[1:], "--network", "any"]))
"""


@pytest.fixture
def _fake_engine(monkeypatch):
    monkeypatch.setattr(classifier, "open_engine", lambda target, engine="auto", threads=None: PowerEngine())


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_sigmf(tmp_path_factory.mktemp("recording") / "capture", stream(1 << 17), RATE, frequency=ON_AIR)


def listened(*options):
    return main(["listen", *map(str, options)])


def lines(text):
    objects = [json.loads(line) for line in text.splitlines()]
    return {kind: [one for one in objects if one["type"] == kind] for kind in ("event", "signal", "status", "summary")}


@pytest.mark.usefixtures("_fake_engine")
def test_json_lines_tell_events_signals_status_and_a_summary(recording, capsys):
    assert listened(recording, "--network", "any", "--interval", "0.2") == 0  # the frequency is the recording's
    told = lines(capsys.readouterr().out)
    last = told["signal"][-len(SIGNALS) :]
    for one, (_, center, period) in zip(last, SIGNALS, strict=True):
        assert one["center"] == pytest.approx(ON_AIR + center * RATE, abs=0.01 * RATE)
        assert one["symbol_rate"] == pytest.approx(RATE / period, rel=0.01)
        assert one["label"] == "quiet"
        assert one["time"].endswith("Z")
    assert told["status"][-1]["source"] == "ended"
    assert {"rate", "dropped", "lost", "coverage", "searched", "latency_s"} <= told["status"][-1].keys()
    (summary,) = told["summary"]
    assert (summary["received"], summary["dropped"]) == (1 << 17, 0)
    assert any("ended" in event["text"] for event in told["event"])


@pytest.mark.parametrize("options", [(), ("--center", "1e6")])
@pytest.mark.usefixtures("_fake_engine")
def test_the_frequency_is_the_recordings_unless_another_is_given(recording, options, capsys):
    assert listened(recording, "--network", "any", "--interval", "0.2", *options) == 0
    centers = sorted({one["center"] for one in lines(capsys.readouterr().out)["signal"]})
    expected = float(options[1]) if options else ON_AIR
    assert centers == pytest.approx([expected + center * RATE for _, center, _ in SIGNALS], abs=0.01 * RATE)


@pytest.mark.usefixtures("_fake_engine")
def test_without_a_frequency_it_is_0(tmp_path, capsys):
    stream(1 << 16).tofile(tmp_path / "capture.cf32")
    assert listened(tmp_path / "capture.cf32", "--rate", RATE, "--network", "any") == 0
    centers = sorted({one["center"] for one in lines(capsys.readouterr().out)["signal"]})
    assert centers == pytest.approx([center * RATE for _, center, _ in SIGNALS], abs=0.01 * RATE)


def test_what_ended_is_said_once_and_the_end_of_a_recording_is_named_whatever_the_time(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(classifier, "open_engine", lambda target, engine="auto", threads=None: NoiseEngine(seconds=1.2))
    bursts = [("BPSK", 20_000, 150_000, -0.2, 8), ("QPSK", 20_000, 350_000, 0.0, 8), ("8PSK", 270_000, 350_000, 0.2, 8)]
    path = write_sigmf(tmp_path / "capture", placed(350_000, bursts), 1e6)
    assert listened(path, "--network", "any", "--interval", "0.1", "--duration", "3") == 0
    told = lines(capsys.readouterr().out)["signal"]
    for _, _, stop, center, _ in bursts:
        own = [one for one in told if abs(one["center"] / 1e6 - center) < 0.01]
        assert {one["label"] for one in own} == {"signal"}
        assert max(one["sample"] for one in own) < stop
        if center < 0:
            assert [one["until"] is not None for one in own] == [True]


@pytest.mark.usefixtures("_fake_engine")
def test_a_terminal_gets_a_table(recording, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert listened(recording, "--network", "any", "--center", ON_AIR) == 0
    out = capsys.readouterr().out
    assert "symbol rate" in out
    assert "quiet" in out
    assert "131072 samples received" in out


@pytest.mark.parametrize(("value", "text"), [(433.92e6, "433.92 MHz"), (2.4e9, "2.4 GHz"), (-31250.0, "-31.25 kHz")])
def test_frequencies_have_their_unit(value, text):
    assert hertz(value) == text


def test_the_table_says_what_ended():
    one = {"center": 1e6, "bandwidth": 1e3, "symbol_rate": None, "snr_db": None, "label": "FM", "confidence": 1.0}
    cells = list(table([one | {"until": None}, one | {"until": "2026-01-01T12:00:00.000Z"}]).columns[4].cells)
    assert cells == ["FM", "FM (ended)"]


def test_the_status_line_has_what_was_lost_only_if_something_was():
    calm = Status("receiving", 1e6, 1.0, None, None, None, Totals(1.0, 100))
    assert "lost" not in str(status_line(calm))
    rough = Status("receiving", 1e6, 0.5, 0.25, 0.12, 0.2, Totals(1.0, 100, dropped=3, lost=7))
    for part in ("3 dropped", "7 lost", "50 % searched", "25.0 %", "120 ms"):
        assert part in str(status_line(rough))


def started(*options):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_a_summary_and_leaves_no_process(how):
    with Sink(stream(1 << 17), RATE) as sink:
        process = started(f"zmq://127.0.0.1:{sink.port}", "--rate", RATE, "--interval", "0.2", "--web", "0")
        address = process.stderr.readline()
        assert address.startswith("page: http://127.0.0.1:")
        connection = http.client.HTTPConnection("127.0.0.1", int(address.rpartition(":")[2].strip("/\n")), timeout=60)
        connection.request("GET", "/events")
        events = connection.getresponse()
        assert events.readline() == b"event: hello\n"
        until(lambda: '"receiving"' in process.stdout.readline(), step=0)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert children
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["type"] == "summary"
    assert err == ""
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)


@pytest.mark.parametrize(("named", "opened"), [((), "paper"), (("--network", "mine.onnx"), "mine.onnx")])
def test_the_network_is_the_first_of_the_preferred_that_is_shipped(recording, named, opened, monkeypatch):
    names = []
    monkeypatch.setattr(classifier, "shipped_networks", lambda: {"paper": None, "lite": None, "another": None})
    monkeypatch.setattr(classifier, "open_engine", lambda target, *_, **__: names.append(target) or PowerEngine())
    assert listened(recording, "--duration", "0", *named) == 0
    assert names == [opened]


def test_without_a_network_one_is_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(classifier, "shipped_networks", dict)
    assert listened("zmq://127.0.0.1:5555", "--rate", "1e6") == 2
    assert "--network" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["zmq://127.0.0.1:5555"], "--rate"),
        (["zmq://127.0.0.1", "--rate", "1e6"], "host and port"),
        (["udp://127.0.0.1:5555", "--rate", "1e6"], "udp://"),
        (["no-such-file.cf32"], "no-such-file"),
        (["zmq://127.0.0.1:5555", "--rate", "-1"], "--rate"),
        (["zmq://127.0.0.1:5555", "--rate", "nan"], "--rate"),
        (["zmq://127.0.0.1:5555", "--rate", "1e6", "--interval", "0"], "--interval"),
        (["zmq://127.0.0.1:5555", "--rate", "1e6", "--symbol-rate", "1e6"], "symbol rate"),
        (["zmq://127.0.0.1:5555", "--rate", "1e6", "--web", "70000"], "port"),
        (["zmq://127.0.0.1:5555", "--rate", "1e6", "--web", "0", "--web-token", "short"], "token"),
    ],
)
@pytest.mark.usefixtures("_fake_engine")
def test_what_cannot_be_is_said_with_2(options, word, capsys):
    assert listened(*options, "--network", "any") == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "source", "word"),
    [("zmq", "zmq://127.0.0.1:5555", ".[live]"), ("SoapySDR", "soapy://driver=rtlsdr", "python3-soapysdr")],
)
@pytest.mark.usefixtures("_fake_engine")
def test_a_missing_package_is_named_with_how_to_get_it(module, source, word, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    assert listened(source, "--rate", "1e6", "--network", "any") == 2
    assert word in capsys.readouterr().err
