import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("qonnx")

from bacalhaunet.compression.budget import network_cost
from bacalhaunet.compression.config import AllocationConfig, CompressConfig
from bacalhaunet.compression.path import PATH_FILE, read_path
from bacalhaunet.cost.metric import metric_cost
from bacalhaunet.deploy.export import trace
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.saved import load_model
from bacalhaunet.training.history import history_of

from .small_compression import digest, run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("road") / "run"
    return folder, run(folder)


def test_a_target_that_no_compression_reaches_is_refused_before_any_training(tmp_path):
    with pytest.raises(ConfigError, match="the target score is 1e-09"):
        run(tmp_path / "run", target_score=1e-9)
    assert not (tmp_path / "run" / "start" / "best.ckpt").exists()


def test_the_compression_ends_at_the_target_with_every_step_told(whole):
    folder, steps = whole
    assert [step.name for step in steps] == ["start", "bits-6", "bits-5", "allocation", "prune-0.0002", "norms"]
    assert read_path(folder / PATH_FILE) == steps
    scores = [step.score for step in steps]
    assert scores == sorted(scores, reverse=True)
    saved = load_model(folder / "model.safetensors")
    assert network_cost(saved.network, saved.spec).score == scores[-1] <= 0.0002
    kept = [step for step in steps if step.kept][-1]
    assert saved.metrics["validation_accuracy"] == kept.accuracy
    stages = history_of(folder / "model.safetensors")
    assert [stage["step"] for stage in stages] == ["start", "bits-6", "bits-5", "allocation", "prune-0.0002"]
    assert len({stage["config"]["seed"] for stage in stages}) == len(stages)  # each training has its own frames
    assert sum(step.frames for step in steps) == saved.metrics["frames_seen"]


def test_the_export_costs_what_the_path_says_at_the_bits_of_the_specification(whole):
    folder, steps = whole
    saved = load_model(folder / "model.safetensors")
    exported = metric_cost(trace(saved.network, "qonnx", saved.spec.frame_length))
    assert exported.score == steps[-1].score
    assert [layer.weight_bits for layer in exported.layers] == [layer.weight_bits for layer in saved.spec.layers()]


# Killed in the first training, and while pruning.
@pytest.mark.parametrize("request_number", [15, 64])
def test_killed_anywhere_it_ends_with_the_same_network(tmp_path, whole, request_number):
    folder = tmp_path / "run"
    script = Path(__file__)
    command = [sys.executable, "-m", "tests.compression.small_compression", folder, request_number]
    killed = subprocess.run(map(str, command), capture_output=True, text=True, timeout=900, cwd=script.parents[2])
    assert killed.returncode == -9, killed.stderr
    assert not (folder / PATH_FILE).is_file()
    run(folder)
    assert [(s.accuracy, s.score, s.frames) for s in read_path(folder / PATH_FILE)] == [
        (s.accuracy, s.score, s.frames) for s in whole[1]
    ]
    first, second = (load_model(f / "model.safetensors").network.state_dict() for f in (folder, whole[0]))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_finished_compression_is_not_trained_again(whole):
    folder, steps = whole
    before = digest(folder)
    assert run(folder) == steps
    assert digest(folder) == before


def test_with_a_least_accuracy_the_network_kept_has_it_and_the_first_below_is_left(tmp_path):
    folder = tmp_path / "run"
    steps = run(folder, min_accuracy=0.3, bits=(5,), allocation=AllocationConfig(factor=1.0), prune_factor=0.5)
    pruned = [step for step in steps if step.name.startswith("prune")]
    assert all(step.kept == (step.accuracy >= 0.3) for step in pruned)
    assert all(step.kept for step in pruned[:-1])
    assert load_model(folder / "model.safetensors").metrics["validation_accuracy"] >= 0.3


def test_a_start_below_the_least_accuracy_is_an_error_that_says_both(tmp_path):
    with pytest.raises(ConfigError, match="validation accuracy of the start"):
        run(tmp_path / "run", min_accuracy=1.0)


def test_a_folder_of_other_settings_is_refused(whole):
    with pytest.raises(ConfigError, match="other settings"):
        run(whole[0], prune_epochs=4)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"target_score": 0.01, "min_accuracy": 0.5},
        {"target_score": 0.0},
        {"min_accuracy": 1.5},
        {"target_score": 0.01, "bits": (9,)},
        {"target_score": 0.01, "prune_factor": 1.0},
        {"target_score": 0.01, "prune_epochs": 0},
    ],
)
def test_settings_that_make_no_compression_are_errors(values):
    with pytest.raises(ConfigError):
        CompressConfig(**values)
