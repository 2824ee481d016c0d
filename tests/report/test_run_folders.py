"""A report of any run: what train, prune, compress and evaluate leave is enough for a page."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

pytest.importorskip("torch")

from bacalhaunet.cli.main import main
from bacalhaunet.compression.path import PathStep, write_path
from bacalhaunet.cost.of import cost_of
from bacalhaunet.data.evaluation import Evaluation, wilson_interval
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import separable_network
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import save_model
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.report.page import render_page
from bacalhaunet.report.run import read_run, write_evaluation
from tests.report.conftest import synthetic_evaluation

SPEC = separable_network((5, 3), (2, 2), (4, 6)).quantized(6, 6, input_bits=8, sum_bits=6)


def trained(path, accuracy=0.5, labels=NAMES, **step):
    """Save a network as a training leaves it, with a history of two stages."""
    stage = {"kind": "train", "config": {}, "spec": SPEC.to_dict(), "frames": 1000, "validation_accuracy": accuracy}
    history = [{**stage, "curve": [[500, 0.2], [1000, 0.3]]}, {**stage, "curve": [[1000, accuracy]], **step}]
    metrics = {"validation_accuracy": accuracy, "validation_frames": 624, "history": history, "frames_seen": 2000}
    spec = replace(SPEC, classes=len(labels))
    save_model(path, build_network(spec), spec, labels, metrics)
    (path.parent / "config.yaml").write_text("data: {profile: twin}\nseed: 7\n")
    return path


def test_a_training_is_shown_by_what_its_model_tells(tmp_path):
    trained(tmp_path / "model.safetensors")
    run = read_run(tmp_path)
    (step,) = run.steps
    assert (step.evaluation.accuracy, step.evaluation.frames) == (0.5, 624)
    assert step.evaluation.interval == wilson_interval(312, 624)
    assert step.cost.score == pytest.approx(cost_of(tmp_path / "model.safetensors").score)
    assert [(p.frames, p.validation_accuracy) for p in run.record.curve] == [(500, 0.2), (1000, 0.3), (2000, 0.5)]
    page = render_page(run)
    assert "validation frames" in page
    assert "blocks.0" in page


def test_prunings_are_steps_in_their_order_with_lambda_and_epsilon(tmp_path):
    for number in (10, 2, 1):
        step = {"weight_decay": 5e-5, "min_abs_weight": number / 10}
        trained(tmp_path / f"step-{number}" / "model.safetensors", step=step)
    (tmp_path / "config.yaml").write_text("data: {profile: twin}\n")
    assert [step.record.min_abs_weight for step in read_run(tmp_path).steps] == [0.1, 0.2, 1.0]


def test_a_compression_is_its_path_without_steps_that_were_left(tmp_path):
    trained(tmp_path / "model.safetensors")
    steps = [
        PathStep("start", "start", 0.5, 624, 0.05, 100, 10, 1.0, 10),
        PathStep("bits-4", "4 bits", 0.4, 624, 0.04, 80, 8, 1.0, 10, kept=False),
        PathStep("prune", "pruned", 0.45, 624, 0.03, 60, 6, 0.5, 10),
    ]
    write_path(tmp_path / "path.json", steps, {})
    run = read_run(tmp_path)
    assert [step.record.title for step in run.steps] == ["start", "pruned"]
    assert run.steps[0].cost.score == 0.05
    assert run.steps[-1].cost.layers


def test_an_evaluation_of_classes_of_ones_own_is_a_run_without_published_figures(tmp_path):
    names = ("pager", "LoRa")
    evaluation = Evaluation(np.array([[[9, 1], [2, 8]]]), (0,), names)
    model = trained(tmp_path / "model.safetensors", labels=names)
    write_evaluation(evaluation, str(model), "own.npz", "bacalhaunet evaluate", tmp_path / "evaluation")
    page = render_page(read_run(tmp_path / "evaluation"))
    assert "LoRa" in page
    assert "winner of 2021" not in page
    assert "paper, real data" not in page


def test_an_evaluation_of_radioml_classes_stands_beside_what_is_published(tmp_path):
    model = trained(tmp_path / "model.safetensors")
    write_evaluation(synthetic_evaluation(1, 0.9), str(model), "f.hdf5", "bacalhaunet evaluate", tmp_path / "e")
    assert "winner of 2021" in render_page(read_run(tmp_path / "e"))


def test_the_command_makes_a_page_of_a_training(tmp_path, capsys):
    trained(tmp_path / "model.safetensors")
    assert main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").is_file()


def test_a_folder_of_no_run_is_refused_with_what_would_be_one(tmp_path):
    (tmp_path / "notes.json").write_text(json.dumps(asdict(PathStep("a", "a", 0, 1, 0, 0, 0, 0))))
    with pytest.raises(ConfigError, match="not the folder of a run"):
        read_run(tmp_path)
