import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("qonnx")

from bacalhaunet.cli.main import main
from bacalhaunet.models.catalog import separable_network
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.radio.modulations import NAMES

SMALL = (
    *("--bits", "[]", "--allocation.factor", "1", "--prune_epochs", "2", "--norm_batches", "1", "--batch_size", "32"),
    *("--threads", "1", "--accelerator", "cpu"),
    *("--data.frames_per_epoch", "64", "--data.validation_frames_per_cell", "1"),
)


@pytest.fixture
def network(tmp_path):
    spec = separable_network((5, 5), (4, 4), (4, 4)).quantized(4, 4)
    torch.manual_seed(1)
    path = tmp_path / "network.safetensors"
    save_model(path, build_network(spec), spec=spec, classes=NAMES)
    return path


def test_a_network_is_taken_to_a_score_and_its_path_told_and_drawn(tmp_path, network, capsys):
    folder = tmp_path / "run"
    assert main(["compress", str(network), "--target-score", "0.0002", *SMALL, "-o", str(folder)]) == 0
    assert load_model(folder / "model.safetensors").metrics["score"] <= 0.0002
    path = json.loads((folder / "path.json").read_text())
    assert path["asked"] == {"target_score": 0.0002, "min_accuracy": None}
    assert [step["name"] for step in path["steps"]] == ["start", "prune-0.0002", "norms"]
    assert "<svg" in (folder / "path.svg").read_text()
    assert "pruned to 0.0002" in capsys.readouterr().out
    # The settings it left are a configuration file of the same road, which is done.
    assert main(["compress", "--config", str(folder / "config.yaml"), "-o", str(folder)]) == 0


@pytest.mark.parametrize("asked", [[], ["--target-score", "0.01", "--min-accuracy", "0.5"]])
def test_it_needs_one_of_the_two_aims(tmp_path, network, capsys, asked):
    assert main(["compress", str(network), *asked, *SMALL, "-o", str(tmp_path / "run")]) == 2
    assert "--target-score or --min-accuracy" in capsys.readouterr().err
