import json

import numpy as np
import pytest

pytest.importorskip("lightning")

import subprocess
import sys

import bacalhaunet
from bacalhaunet.cli.main import main
from bacalhaunet.models import shipped_networks
from bacalhaunet.models.saved import load_model
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet_paper import shipping
from bacalhaunet_paper.shipping import Amounts, ship
from tests.cli.test_models import CORE

BRIEF = ["--epochs", "1", "--batch_size", "32", "--data.frames_per_epoch", "32", "--accelerator", "cpu"]
BRIEF += ["--data.validation_frames_per_cell", "1"]

SMALL = Amounts(1, 1, 1, 0)


@pytest.fixture
def tiny(shipped, monkeypatch):
    """Make the shipped network of the fixtures one of the package's own."""
    monkeypatch.setattr(shipped_networks, "FOLDER", shipped.parent)
    return shipped


def test_the_command_ships_with_the_full_split_and_says_what_is_next(tiny_run, tmp_path, monkeypatch, capsys):
    asked = {}

    def small(run, name, **options):
        asked.update(options)
        return ship(run, name, **options, amounts=SMALL)

    monkeypatch.setattr(shipping, "ship", small)
    words = ["ship", str(tiny_run), "--name", "tiny", "--folder", str(tmp_path), "--summary", "a trial"]
    assert main(words) == 0
    assert "amounts" not in asked  # the command has no way to measure on fewer frames
    captured = capsys.readouterr()
    assert str(tmp_path / "tiny.json") in captured.out
    assert "bacalhaunet models tiny" in captured.err
    card = json.loads((tmp_path / "tiny.json").read_text())
    assert card["summary"] == "a trial"
    assert card["measured"]["command"] == f"bacalhaunet ship {tiny_run} --name tiny"


def test_the_field_profile_measures_on_its_own_frames(tiny_run, tmp_path):
    card = json.loads(ship(tiny_run, "tiny", folder=tmp_path, amounts=SMALL, profile="field").read_text())
    assert (card["profile"], card["training"]["profile"], card["frames"]) == ("field", "twin", 624)


def test_a_shipped_network_loads_by_name(tiny):
    loaded = bacalhaunet.load("tiny")
    assert loaded.classes.names == NAMES
    assert loaded.spec == load_model(tiny.with_suffix(".safetensors")).spec


@pytest.mark.parametrize(
    "words",
    [
        ["cost", "tiny"],
        ["export", "tiny", "-o", "{folder}/tiny.onnx"],
        ["compile", "tiny", "--show"],
        ["bench", "tiny", "--seconds", "0.05"],
        ["classify", "{folder}/frames.npy", "--network", "tiny"],
        ["classify", "{folder}/frames.npy"],
        ["train", "--network", "tiny", *BRIEF, "--output", "{folder}/run"],
    ],
    ids=lambda words: words[0],
)
def test_every_command_that_takes_a_network_takes_a_shipped_name(tiny, words, tmp_path):
    np.save(tmp_path / "frames.npy", np.random.default_rng(1).standard_normal((8, 2, 1024)).astype(np.float32))
    assert main([word.format(folder=tmp_path) for word in words]) == 0


def test_training_from_a_shipped_name_goes_on_with_its_history(tiny, tmp_path):
    output = tmp_path / "run"
    assert main(["train", "--network", "tiny", *BRIEF, "-o", str(output)]) == 0
    assert load_model(output / "model.safetensors").metrics["frames_seen"] == 192 + 32
    again = json.loads(ship(output, "again", folder=tmp_path / "shipped", amounts=SMALL).read_text())
    assert [run.get("starts_from") for run in again["training"]["recipe"]] == [None, 0, 1]


def test_the_core_classifies_by_name_without_torch(tiny, tmp_path):
    np.save(tmp_path / "frames.npy", np.random.default_rng(1).standard_normal((8, 2, 1024)).astype(np.float32))
    words = ["classify", str(tmp_path / "frames.npy"), "--network", "tiny", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", CORE, str(tiny.parent), *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["frames"]) == 8
