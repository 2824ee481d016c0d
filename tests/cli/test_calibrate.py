"""``bacalhaunet calibrate``: what it writes is what ``classify`` and ``export`` read; ``--check`` writes nothing."""

import json

import numpy as np
import pytest

from bacalhaunet.classify.calibration import Calibration, read_calibration
from bacalhaunet.classify.calibration_data import signal_logits
from bacalhaunet.cli import calibrate
from bacalhaunet.cli.main import main
from tests.classify.test_calibration import PLAIN

pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("h5py", reason="needs h5py")


class ByFrequency:
    """Three classes by how much of the power is at low frequencies, three times as sure as it should be."""

    name, target, labels, frame_length = "fake", "any", ("QPSK", "OOK", "FM"), 1024

    def logits(self, frames):
        assert frames.shape[1:] == (2, 1024)
        spectrum = np.abs(np.fft.fft(frames[:, 0] + 1j * frames[:, 1], axis=1)) ** 2
        share = spectrum[:, :20].sum(1) / spectrum.sum(1)
        return np.stack([3 - 10 * share, 8 * share, 6 * share - 1], 1).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "twin.hdf5"
    assert main(["twin", "make", str(path), "--frames-per-cell", "8", "--seed", "1"]) == 0
    return path


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "open_engine", lambda target, engine="auto", threads=None: ByFrequency())
    (tmp_path / "network.onnx").write_bytes(PLAIN)
    return tmp_path / "network.onnx"


def run(network, data, *options):
    words = ["--data", str(data), "--split", "all", "--snr-min", "0", "--signals", "2", "--json"]
    return main(["calibrate", str(network), *words, *options])


def test_the_calibration_is_written_into_the_file_with_what_was_measured(network, data, capsys):
    assert run(network, data) == 0
    report, found = json.loads(capsys.readouterr().out), read_calibration(str(network))
    assert found == Calibration(report["temperature"], report["rise"], report["correlation"])
    assert found != Calibration()
    assert found.measured["frames"] == report["after"]["answers"] == 3 * 16 * 8
    assert report["after"]["nll"] <= report["constant"]["nll"] + 0.01 < report["before"]["nll"]
    assert report["after"]["accuracy"] == report["before"]["accuracy"]
    assert list(report["signals"]) == ["1", "2", "4", "8", "16", "32"]
    assert network.read_bytes().startswith(PLAIN)


def test_check_measures_what_is_in_the_file_and_writes_nothing(network, data, capsys):
    before = network.read_bytes()
    assert run(network, data, "--check") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["temperature"], report["before"], report["constant"]) == (1.0, report["after"], None)
    assert network.read_bytes() == before


def test_the_output_can_be_another_file_and_fewer_frames_do(network, data, tmp_path, capsys):
    assert run(network, data, "-o", str(tmp_path / "other.onnx"), "--frames", "100") == 0
    assert network.read_bytes() == PLAIN
    # Frames of classes that the network does not have are left out.
    assert 0 < read_calibration(str(tmp_path / "other.onnx")).measured["frames"] < 100


def test_the_table_says_the_error_before_and_after(network, data, capsys):
    words = ["calibrate", str(network), "--data", str(data), "--split", "all", "--snr-min", "10", "--signals", "0"]
    assert main(words) == 0
    out = capsys.readouterr().out
    for text in ("as they are", "one temperature", "calibrated", "ECE"):
        assert text in out
    assert read_calibration(str(network)).correlation == Calibration().correlation


@pytest.mark.parametrize("options", [("--frames", "1"), ("--signals", "1"), ("--signals", "-1")])
def test_numbers_that_make_no_sense_end_with_2(network, data, options, capsys):
    assert run(network, data, *options) == 2
    assert "allowed" in capsys.readouterr().err


def test_a_name_is_not_written_to(network, data, capsys):
    assert main(["calibrate", "bacalhaunet", "--data", str(data)]) == 2
    assert "--check" in capsys.readouterr().err


def test_frames_of_a_signal_share_what_the_channel_did_to_it():
    signals = signal_logits(ByFrequency(), [30.0], 3, seed=4)
    assert signals.logits.shape == (9, 32, 3)
    assert signals.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    again = signal_logits(ByFrequency(), [30.0], 3, seed=4)
    assert np.array_equal(signals.logits, again.logits)
    within, between = signals.logits.std(axis=1).mean(), signals.logits.mean(axis=1).std(axis=0).mean()
    assert within < between
