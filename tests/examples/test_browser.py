"""The page for browsers names what ``classify`` names, with the same probabilities."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bacalhaunet.classify.calibration import Calibration, write_calibration
from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.pipeline import Classification
from bacalhaunet.data.recordings.recording import open_recording
from tests.classify.front_end.captures import linear_signal
from tests.examples.test_walks import ROOT, network

BROWSER = ROOT / "examples" / "browser"

pytest.importorskip("onnx", reason="needs the package onnx")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    for tool in ("clang", "wasm-ld", "node"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool} (packages clang, lld, nodejs)")
    folder = tmp_path_factory.mktemp("page")
    write_calibration(Path(network()), Calibration(0.87, 1.3, 0.3), folder / "network.onnx")
    words = [sys.executable, BROWSER / "build.py", folder / "network.onnx", folder / "page.html"]
    subprocess.run([str(word) for word in words], check=True, capture_output=True)
    return folder


def in_node(folder, path, kind):
    script = Path(__file__).with_name("classify_in_node.js")
    words = ["node", script, folder / "page.html", BROWSER / "classifier.js", path, kind]
    done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(("ending", "kind"), [("cf32", "cf32"), ("cs16", "ci16"), ("cu8", "cu8")])
def test_labels_and_probabilities_are_those_of_classify(built, tmp_path, ending, kind):
    generator = np.random.default_rng(3)
    parts = [linear_signal(name, 40 * 1024, 8.0, 0.4, generator, 3.0) for name in ("QPSK", "16QAM", "OOK")]
    parts.insert(2, np.zeros(20 * 1024))
    samples = np.concatenate(parts) * 0.2 + generator.standard_normal((140 * 1024, 2)) @ [1e-2, 1e-2j]
    samples[80 * 1024 : 100 * 1024] = 0
    values = np.ascontiguousarray(samples.astype(np.complex64)).view(np.float32)
    stored = {
        "cf32": values,
        "cs16": (values * 32768).round().clip(-32768, 32767).astype("<i2"),
        "cu8": (values * 128 + 128).round().clip(0, 255).astype("u1"),
    }[ending]
    path = tmp_path / f"r.{ending}"
    path.write_bytes(stored.tobytes())
    theirs = in_node(built, path, kind)
    engine = open_engine(built / "network.onnx", threads=1)
    work = Classification(engine, open_recording(path))
    rows = [
        None if quiet else row
        for batch in work.batches()
        for row, quiet in zip(batch.probabilities, batch.silent, strict=True)
    ]
    assert len(theirs["rows"]) == len(rows) == 140
    for here, there in zip(rows, theirs["rows"], strict=True):
        assert (here is None) == (there is None)
    pairs = [(here, np.array(there)) for here, there in zip(rows, theirs["rows"], strict=True) if there]
    # The scale of a frame is summed in another order: a sample at the edge of a level can fall on its other side.
    same = [here.argmax() == there.argmax() for here, there in pairs]
    close = [np.abs(here - there).max() < 0.05 for here, there in pairs]
    assert np.mean(same) >= 0.97
    assert np.mean(close) >= 0.9
    assert theirs["answer"]["classes"][0][0] == work.summary().label
    assert theirs["answer"]["classes"][0][1] == pytest.approx(work.summary().confidence, abs=0.05)
    assert theirs["answer"]["groups"][0][0] == work.summary().group


def test_recordings_that_cannot_be_get_a_message(built, tmp_path):
    (tmp_path / "short.cf32").write_bytes(bytes(800))
    assert "100 samples" in in_node(built, tmp_path / "short.cf32", "cf32")["error"]
    (tmp_path / "nan.cf32").write_bytes(np.full(4096, np.nan, "<f4").tobytes())
    assert "NaN" in in_node(built, tmp_path / "nan.cf32", "cf32")["error"]


def test_the_page_fetches_nothing(built):
    page = (built / "page.html").read_text()
    assert "default-src 'none'" in page
    for words in ("http://", "https://", "src=", "@import", "/*CODE*/", "/*FACTS*/"):
        assert words not in page.replace("http-equiv", "")
