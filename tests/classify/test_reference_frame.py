"""The one real frame is 16QAM for networks trained on the real data, however it is stored."""

import json
from pathlib import Path

import numpy as np
import pytest

from bacalhaunet.cli.main import main

REFERENCE = Path(__file__).parents[2] / ".." / "shared" / "reference"
FRAME = REFERENCE / "radioml2018_frame_16qam_30db_int8.npy"
NETWORKS = ["vgg10_w8a8_baseline", "bacalhaunet_w6a6_pruned", "aaronnet32"]

pytestmark = pytest.mark.skipif(not FRAME.is_file(), reason="needs the reference material in ../shared")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder, frame = tmp_path_factory.mktemp("frame"), np.load(FRAME)
    scaled = (frame * 2 / 128).astype(np.float32)
    np.save(folder / "scaled.npy", scaled)
    np.save(folder / "integers.npy", frame.astype(np.int8))
    np.save(folder / "complex.npy", (scaled[0, 0] + 1j * scaled[0, 1]).astype(np.complex64))
    (folder / "signal.cf32").write_bytes(np.ascontiguousarray(scaled[0].T, "<f4").tobytes())
    (folder / "signal.cs8").write_bytes(np.ascontiguousarray(frame[0].T.astype(np.int8)).tobytes())
    return folder


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ["scaled.npy", "integers.npy", "complex.npy", "signal.cf32", "signal.cs8"])
def test_the_real_frame_is_16qam(stored, name, network, capsys):
    target = str(REFERENCE / "networks" / f"{network}.onnx")
    assert main(["classify", str(stored / name), "--network", target, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [frame["label"] for frame in document["frames"]] == ["16QAM"]
    assert document["summary"]["label"] == "16QAM"


@pytest.mark.parametrize("network", NETWORKS)
def test_the_integers_of_the_file_times_2_over_128_are_16qam(network, capsys):
    target = str(REFERENCE / "networks" / f"{network}.onnx")
    assert main(["classify", str(FRAME), "--network", target, "--scale", "0.015625", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert (summary["label"], summary["normalization"]) == ("16QAM", "none")
