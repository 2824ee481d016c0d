"""The example's flowgraph, run by GNU Radio itself, is listened to over ZMQ."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="needs scipy")
pytest.importorskip("zmq", reason="needs pyzmq")

from bacalhaunet.classify.live.addresses import ZmqAddress
from bacalhaunet.classify.live.reports import Reports
from bacalhaunet.classify.live.session import Session
from tests.classify.fake_engine import PowerEngine
from tests.classify.live.browser import until

EXAMPLE = Path(__file__).parents[3] / "examples" / "live"
PYTHON = "/usr/bin/python3"
RATE = 200e3

LINEAR = ((-0.36, 16), (-0.18, 8), (0.16, 8), (0.36, 10))
"""Offset in sample rates, and samples a symbol, of the example's linear modulations."""

pytestmark = pytest.mark.skipif(
    not Path(PYTHON).exists()
    or subprocess.run([PYTHON, "-c", "from gnuradio import zeromq"], capture_output=True).returncode != 0,
    reason="GNU Radio is missing (Debian package gnuradio)",
)


def flowgraph(*options):
    program = [PYTHON, str(EXAMPLE / "modulations.py"), "--rate", str(RATE), *options]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def linear(session):
    """The signals at the places of ``LINEAR``, once all of them have answers."""
    with session.tracks.lock:
        found = Reports(RATE, 0.0, 0.0).signals(session.tracks.active)
    there = [
        one
        for offset, _ in LINEAR
        for one in found
        if abs(one["center"] / RATE - offset) < 0.005 and one["symbol_rate"]
    ]
    return there if len(there) == len(LINEAR) else None


def check(session):
    for one, (_, period) in zip(until(lambda: linear(session), 90), LINEAR, strict=True):
        assert one["symbol_rate"] == pytest.approx(RATE / period, rel=0.01)
        assert one["snr_db"] > 10


@pytest.mark.parametrize("push", [False, True])
def test_every_signal_of_the_example_is_found_at_its_place_and_rate(push):
    address = f"tcp://127.0.0.1:{25550 + push}"
    process = flowgraph("--address", address, "--tags", *(["--push"] if push else []))
    try:
        with Session(ZmqAddress(address, push), PowerEngine(), rate=RATE) as session:
            check(session)
            totals = session.totals()
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert (totals.dropped, totals.lost, totals.malformed, totals.restarts) == (0, 0, 0, 0)


def test_the_companion_s_flowgraph_makes_the_same_signals(tmp_path):
    if shutil.which("grcc") is None:
        pytest.skip("grcc is missing (Debian package gnuradio)")
    # Another rate and address, as somebody would set them in the companion.
    text = (EXAMPLE / "modulations.grc").read_text()
    assert (text.count("1e6"), text.count("5555")) == (1, 1)
    text = text.replace("1e6", "200e3").replace("5555", "25552")
    (tmp_path / "modulations.grc").write_text(text)
    subprocess.run(["grcc", "-o", str(tmp_path), str(tmp_path / "modulations.grc")], check=True, capture_output=True)
    process = subprocess.Popen(
        [PYTHON, str(tmp_path / "modulations_grc.py")], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        with Session(ZmqAddress("tcp://127.0.0.1:25552"), PowerEngine(), rate=RATE) as session:
            check(session)
    finally:
        process.terminate()
        process.wait()
