import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")

from bacalhaunet.classify.calibration import read_calibration
from bacalhaunet.classify.engines import open_engine
from bacalhaunet.cost.of import cost_of
from bacalhaunet.data.evaluation import wilson_interval
from bacalhaunet.data.generated import TEST_SEED
from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.models import shipped_networks
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.models.shipped_networks import find_shipped
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet_paper import shipping_measurement as measurement
from bacalhaunet_paper.shipping import Amounts, digest, ship
from bacalhaunet_paper.shipping_measurement import Split, measure

SMALL = Amounts(1, 1, 1, 0)


@pytest.fixture(scope="module")
def card(shipped):
    return json.loads(shipped.read_text())


def test_the_accuracy_is_what_the_shipped_export_names_of_the_test_frames(shipped, card):
    split = Split(per_cell=2)
    engine = open_engine(shipped.with_suffix(".onnx"))
    right = frames = 0
    for part in split.parts():
        for batch in split.batches(part):
            right += int((engine.logits(batch.frames.numpy()).argmax(1) == batch.labels.numpy()).sum())
            frames += len(batch.labels)
    assert (card["correct"], card["frames"], card["test_seed"]) == (right, frames, TEST_SEED)
    assert card["accuracy"] == right / frames
    assert tuple(card["interval"]) == wilson_interval(right, frames)
    assert sum(card["correct_by_snr"].values()) == right
    assert {snr: int(np.trace(table)) for snr, table in card["confusion"].items()} == card["correct_by_snr"]


def test_cost_and_digests_are_those_of_the_files(shipped, card):
    cost = cost_of(shipped.with_suffix(".safetensors"))
    assert (card["score"], card["bit_ops"], card["bit_mem"]) == (cost.score, cost.bit_ops, cost.bit_mem)
    for kind in ("safetensors", "onnx"):
        file = shipped.with_suffix(f".{kind}")
        assert card["sha256"][kind] == digest(file)
        assert card["bytes"][kind] == file.stat().st_size


def test_a_shipped_network_is_measured_again_and_its_training_taken_over(shipped, card, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_networks, "FOLDER", shipped.parent)
    monkeypatch.chdir(tmp_path)
    again = json.loads(ship(Path("tiny"), "tiny", folder=tmp_path / "new", amounts=Amounts(2, 1, 1, 0)).read_text())
    assert {**again, "measured": None} == {**card, "measured": None}
    assert (tmp_path / "runs/shipped-tiny/measured").is_dir()  # the test split is gone through once
    with pytest.raises(ModelFileError):
        ship(Path("unknown"), "tiny", folder=tmp_path / "new", amounts=SMALL)


def test_the_calibration_is_on_the_card_and_in_the_export(shipped, card, monkeypatch):
    monkeypatch.setattr(shipped_networks, "FOLDER", shipped.parent)
    by_name, in_file = read_calibration("tiny"), read_calibration(str(shipped.with_suffix(".onnx")))
    assert by_name == in_file
    assert by_name.to_dict() == card["calibration"]
    assert card["calibration"]["frames"] == 624
    assert card["calibration"]["nll"][1] < card["calibration"]["nll"][0]


def test_the_card_tells_the_training(shipped, card):
    training = card["training"]
    assert (training["frames_seen"], training["seeds"], training["profile"]) == (192, [2, 3], "twin")
    assert [frames for frames, _ in training["curve"]] == [64, 128, 192]
    assert training["recipe"][1]["config"]["bits"]["weight"] == 6
    assert [teacher["frames_seen"] for teacher in training["teachers"]] == [64]
    assert NetworkSpec.from_dict(card["spec"]) == load_model(shipped.with_suffix(".safetensors")).spec
    assert card["validation_frames"] == 624
    assert find_shipped("tiny", shipped.parent).card == card


def test_an_interrupted_measurement_goes_on_and_counts_every_frame_once(shipped, tmp_path, monkeypatch):
    monkeypatch.setattr(measurement, "BATCH", 100)
    monkeypatch.setattr(measurement, "PART_BATCHES", 3)
    engine, split, asked = open_engine(shipped.with_suffix(".onnx")), Split(per_cell=2), []
    original = Split.batches

    def stopping(self, numbers):
        asked.append(numbers)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return original(self, numbers)

    monkeypatch.setattr(Split, "batches", stopping)
    with pytest.raises(KeyboardInterrupt):
        measure(engine, split, tmp_path)
    result = measure(engine, split, tmp_path)
    assert asked == [split.parts()[n] for n in (0, 1, 2, 2, 3, 4)]
    assert result.correct == json.loads(shipped.read_text())["correct"]
    assert (result.counts.sum(axis=2) == 2).all()
    measure(engine, split, tmp_path)
    assert len(asked) == 6  # the test frames are not read again


def test_counts_of_another_network_are_not_taken(shipped, tmp_path):
    other = tmp_path / "other.onnx"
    shutil.copy(shipped.with_suffix(".onnx"), other)
    split = Split(per_cell=1)
    measure(open_engine(other), split, tmp_path)
    other.write_bytes(other.read_bytes() + b"\x72\x00")  # one more empty entry of the metadata: another file
    measure(open_engine(other), split, tmp_path)
    assert len([folder for folder in tmp_path.iterdir() if folder.is_dir()]) == 2


def test_damaged_counts_are_an_error(shipped, tmp_path):
    engine, split = open_engine(shipped.with_suffix(".onnx")), Split(per_cell=1)
    measure(engine, split, tmp_path)
    [part] = tmp_path.glob("*/part-0.json")
    part.write_text("[[1]]")
    with pytest.raises(ModelFileError, match="damaged"):
        measure(engine, split, tmp_path)


@pytest.mark.parametrize("name", ["prototype", "Paper", "../paper", ""])
def test_a_name_that_cannot_be_used_is_refused(tiny_run, tmp_path, name):
    with pytest.raises(ConfigError, match="name is"):
        ship(tiny_run, name, folder=tmp_path, amounts=SMALL)
    assert not list(tmp_path.iterdir())


def test_a_network_of_unknown_origin_is_not_shipped(tmp_path):
    spec = find_spec("first-experiment")
    path = tmp_path / "given.safetensors"
    save_model(path, build_network(spec), spec, NAMES, {"validation_accuracy": 0.9})
    with pytest.raises(ModelFileError, match="nothing says how"):
        ship(path, "given", folder=tmp_path / "shipped", amounts=SMALL)
    assert not (tmp_path / "shipped").exists()


def test_a_float_network_ships_too(tiny_run, tmp_path):
    card = json.loads(ship(tiny_run.parent / "float", "plain", folder=tmp_path, amounts=SMALL).read_text())
    assert card["engine"] == "onnxruntime"
    assert card["parity"]["same_class"] == card["parity"]["frames"]
    assert "float weights" in card["summary"]
    assert card["bytes"]["weights"] == 4 * card["nonzero_weights"]
