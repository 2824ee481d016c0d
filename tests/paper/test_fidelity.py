"""The fidelity report: statistics, networks, real frames, and the pulse estimator."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES, SNRS_DB
from bacalhaunet.radio.twin import Twin
from bacalhaunet.radio.twin_config import TwinConfig
from bacalhaunet_paper import fidelity
from bacalhaunet_paper.fidelity import SampleStatistics, figures, published_network
from bacalhaunet_paper.fidelity_pages import markdown, summary, write_folder
from bacalhaunet_paper.fidelity_real import compare_real_frames, difference_db, estimate_pulse

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference"


def qpsk(count, config=None):
    index = torch.arange(count)
    snrs = torch.full((count,), 30.0)
    return Twin(config).frames(torch.full_like(index, 4), snrs, index, seed=2).numpy()


@pytest.mark.parametrize(("roll_off", "cascaded"), [(0.41, 3.0), (0.35, 2.5), (0.55, 3.0)])
def test_the_estimator_finds_the_pulse_that_is_there(roll_off, cascaded):
    config = TwinConfig(roll_off=roll_off, cascaded_filters=cascaded)
    found = estimate_pulse(qpsk(200, config))
    assert found.roll_off == pytest.approx(roll_off, abs=0.01)
    assert found.cascaded == pytest.approx(cascaded, abs=0.05)
    assert found.timing == pytest.approx(config.timing_fraction, abs=0.01)
    assert found.residual_db < -35


def test_the_estimator_refuses_noise():
    noise = np.random.default_rng(1).standard_normal((100, 2, 128)).astype(np.float32)
    with pytest.raises(ConfigError, match="clean BPSK or QPSK"):
        estimate_pulse(noise)


def test_the_pulse_of_the_twin_is_that_of_the_real_frames_to_35_db():
    path = REFERENCE / "radioml2018_bpsk_qpsk_30db_first128.npy"
    if not path.is_file():
        pytest.skip(f"needs {path.name} of the reference material beside the checkout")
    real = estimate_pulse(np.load(path))
    assert real.frames > 1000
    assert difference_db(estimate_pulse(qpsk(512)), real) < -35


def test_real_frames_are_compared_in_power_spectrum_and_pulse(tmp_path):
    np.save(tmp_path / "some_bpsk_qpsk_frames.npy", qpsk(300)[:, :, :128])
    found = compare_real_frames(Twin(), tmp_path, seed=8)
    assert found.pulse_difference_db < -40
    assert found.spectrum_difference_db < 1.5
    assert found.real.power == pytest.approx(1.0, abs=0.02)
    with pytest.raises(ConfigError, match="no real frames"):
        compare_real_frames(Twin(), tmp_path / "nowhere", seed=8)


def test_statistics_count_what_they_say():
    statistics, rng = SampleStatistics(), np.random.default_rng(3)
    for label in range(24):
        for snr in SNRS_DB:
            frames = rng.standard_normal((4, 2, 1024)).astype(np.float32)
            if label == 2:
                frames *= 3
            statistics.add(frames, np.full(4, label), np.full(4, snr, np.float32))
    found = {(c.what, c.modulation, c.snr_db): c for c in statistics.comparisons()}
    share = found["share outside [-2, 2]", "OOK", 30]
    assert share.twin == pytest.approx(0.0455, abs=0.01)
    assert not share.agrees
    assert found["share outside [-2, 2]", "8ASK", 0].twin == pytest.approx(0.505, abs=0.02)
    assert found["std of a component", "8ASK", 30].twin == pytest.approx(3.0, rel=0.05)
    spread = found["power of 128 samples, std over frames", "BPSK", 30]
    assert spread.real == 0.1


def test_sample_statistics_of_the_twin_agree_with_the_published_ones():
    statistics, count = SampleStatistics(), 1000
    index = torch.arange(count)
    twin = Twin()
    for name in ("OOK", "4ASK", "8ASK", "BPSK", "QPSK", "16QAM", "AM-SSB-WC", "AM-SSB-SC"):
        for snr in [30] if name in ("BPSK", "QPSK", "16QAM") else [-20, 0, 2, 4, 6, 8, 10, 30]:
            label = torch.full_like(index, NAMES.index(name))
            frames = twin.frames(label, torch.full((count,), float(snr)), index, seed=0).numpy()
            statistics.add(frames, label.numpy(), np.full(count, snr, np.float32))
    off = [c for c in statistics.comparisons() if not c.agrees]
    # One figure may be off by chance: 1000 AM-SSB frames know their share to about 1 point.
    assert len(off) <= 1, off


@dataclass
class Oracle:
    """An engine that names BPSK always, for the machinery."""

    target: str
    name: str = "oracle"
    labels: tuple[str, ...] = NAMES
    frame_length: int = 1024

    def logits(self, frames):
        return np.tile(np.arange(24) == 3, (len(frames), 1)).astype(np.float32)


def test_networks_are_run_on_every_cell_and_compared_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(fidelity, "open_engine", lambda path: Oracle(str(path)))
    networks = [tmp_path / "vgg10_baseline.onnx", tmp_path / "unheard_of.onnx"]
    found = fidelity.measure_fidelity(Twin(), networks, frames_per_cell=1, seed=1)
    document = json.loads(json.dumps(found.to_dict()))
    vgg, other = document["networks"]
    assert vgg["frames"] == 24 * 26
    assert vgg["accuracy"] == pytest.approx(1 / 24)
    assert vgg["published"] == 0.594657
    assert vgg["difference"] == pytest.approx(1 / 24 - 0.594657)
    assert [row["snr_db"] for row in vgg["by_snr"]] == list(SNRS_DB)
    assert len(vgg["confusion_rows"]) == 3 * 24
    bpsk = next(r for r in vgg["confusion_rows"] if r["modulation"] == "BPSK" and r["snr_db"] == 30)
    assert bpsk["distance"] < 0.01
    assert other["published"] is None
    text = markdown(found) + summary(found)
    assert "NOT within 0.5" in text
    assert "unheard_of.onnx" in text
    write_folder(tmp_path / "out", found, Twin())
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "fidelity.md",
        "fidelity.json",
        "curves.svg",
        "classes.png",
    }


def test_networks_are_found_in_a_folder(tmp_path):
    with pytest.raises(ConfigError, match="no network"):
        fidelity.network_files(tmp_path)
    for name in ("b.onnx", "a.safetensors", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in fidelity.network_files(tmp_path)] == ["a.safetensors", "b.onnx"]


def test_published_figures_are_complete():
    for name in ("vgg10_w8a8_baseline.onnx", "aaronnet32.onnx"):
        known = published_network(name)
        assert len(known.accuracy_by_snr) == 26
        assert np.mean(list(known.accuracy_by_snr.values())) == pytest.approx(known.accuracy, abs=0.003)
    assert published_network("bacalhaunet_w6a6_pruned.onnx").accuracy == 0.562410
    assert published_network("other.onnx") is None
    for rows in figures()["networks"]["vgg10"]["confusion"].values():
        assert np.sum(rows, axis=1) == pytest.approx(np.ones(24), abs=0.1)
