import json
import subprocess
import sys

import pytest

from bacalhaunet.cli.main import main
from bacalhaunet.models import shipped_networks

CORE = """
import sys
class WithoutExtras:
    names = {"torch", "onnx", "brevitas", "lightning", "safetensors", "h5py", "matplotlib", "qonnx", "optuna"}
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in self.names else self.finder.find_spec(name, path, target)
sys.meta_path = [WithoutExtras(finder) for finder in sys.meta_path]
from pathlib import Path
from bacalhaunet.models import shipped_networks
shipped_networks.FOLDER = Path(sys.argv[1])
from bacalhaunet.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def card(name="tiny", **changes):
    """A card with every entry that is printed."""
    snrs, labels = ("-20", "30"), ["OOK", "4ASK"]
    return {
        "name": name,
        "summary": "two blocks",
        "accuracy": 0.75,
        "interval": [0.3, 0.95],
        "frames": 4,
        "frames_per_cell": 1,
        "profile": "twin",
        "test_seed": 7,
        "validation_accuracy": 0.7,
        "score": 0.0123,
        "bit_ops": 1000,
        "bit_mem": 80,
        "weights": 20,
        "nonzero_weights": 10,
        "bytes": {"weights": 10, "onnx": 300, "safetensors": 200},
        "parity": {"engines": ["native", "torch"], "frames": 10, "same_class": 10},
        "accuracy_by_snr": {"-20": 0.5, "30": 1.0},
        "confusion": {snr: [[1, 0], [1, 0]] if snr == "-20" else [[1, 0], [0, 1]] for snr in snrs},
        "labels": labels,
        "training": {
            "frames_seen": 3_000_000,
            "seeds": [1],
            "profile": "twin",
            "stages": [{"kind": "prune", "frames": 3_000_000, "validation_accuracy": 0.7, "seed": 1, "step": {"a": 1}}],
            "recipe": [
                {"command": "train", "config": {"network": "prototype"}, "model": "a", "data": {"profile": "twin"}}
            ],
        },
        "measured": {"date": "2026-11-25T22:00:00+00:00", "machine": "a machine", "command": "bacalhaunet ship x"},
        **changes,
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_networks, "FOLDER", tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps(card()))
    for suffix in (".safetensors", ".onnx"):
        (tmp_path / f"tiny{suffix}").touch()
    return tmp_path


def test_the_list_has_shipped_networks_first_with_accuracy_and_score(folder, capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert out.index("tiny") < out.index("prototype")
    assert "75.00 %" in out
    assert "0.0123" in out
    assert "3.0 M" in out


def test_a_card_is_shown_with_its_curve(folder, capsys):
    assert main(["models", "tiny"]) == 0
    out = capsys.readouterr().out
    for said in (
        "75.00 %",
        "30.00 to 95.00 %",
        "0.012300",
        "3,000,000 frames",
        "none twice",
        "OOK 50.0 %",
        "a machine",
        "█" * 25,
    ):
        assert said in out, said


def test_a_card_as_json_is_the_card(folder, capsys):
    assert main(["models", "tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == card()


def test_a_recipe_is_settings_and_a_script(folder, tmp_path, capsys):
    assert main(["models", "tiny", "--recipe", str(tmp_path / "again")]) == 0
    assert "bacalhaunet train --config 1-train.yaml --output 1" in (tmp_path / "again" / "run.sh").read_text()


def test_a_catalog_network_is_shown_with_what_was_published(folder, capsys):
    assert main(["models", "prototype"]) == 0
    out = capsys.readouterr().out
    assert "58.30 %" in out
    assert "1.158" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tinny"], "did you mean tiny"),
        (["--recipe", "x"], "needs a network"),
        (["prototype", "--recipe", "x"], "no recipe"),
    ],
)
def test_what_cannot_be_shown_ends_with_exit_code_2(folder, words, message, capsys):
    assert main(["models", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [["models"], ["models", "tiny"]])
def test_the_core_lists_and_shows_without_torch(folder, words):
    done = subprocess.run(
        [sys.executable, "-c", CORE, str(folder), *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "75.00 %" in done.stdout
