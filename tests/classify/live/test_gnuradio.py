"""The example's flowgraph, run by GNU Radio itself, is listened to over ZMQ."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="needs scipy")
pytest.importorskip("zmq", reason="needs pyzmq")

from bacalhaunet.classify.live.session import Session
from bacalhaunet.classify.live.sources import ZmqAddress
from bacalhaunet.classify.live.status import Reports
from tests.classify.fake_engine import PowerEngine
from tests.classify.live.browser import until

EXAMPLE = Path(__file__).parents[3] / "examples" / "live"
REFERENCE = EXAMPLE.parents[2] / "shared" / "reference" / "networks" / "bacalhaunet_w6a6_pruned.onnx"
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
    for one, (_, period) in zip(until(lambda: linear(session)), LINEAR, strict=True):
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


def test_the_walk_names_what_the_flowgraph_sends():
    """Needs a network that knows signals well, which those shipped so far do not."""
    if not REFERENCE.is_file():
        pytest.skip("needs the reference networks in ../shared")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PORT": "25553",
        "RATE": "300e3",
    }
    command = ["sh", str(EXAMPLE / "run.sh"), str(REFERENCE.resolve()), "20"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert (told[-1]["type"], told[-1]["dropped"]) == ("summary", 0)
    groups = {one["signal"]: (one["center"] / 300e3, one["group"]) for one in told if one["type"] == "signal"}
    for (offset, _), group in zip(LINEAR, ("PSK", "PSK", "PSK", "QAM/APSK"), strict=True):
        assert any(abs(center - offset) < 0.005 and said == group for center, said in groups.values())
