"""The main job on a few frames: from a float network to a page and plain words, and again without any training."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("qonnx")

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import save_model
from bacalhaunet.models.spec import NetworkSpec, SeparableBlock
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.report.published import winner
from bacalhaunet_paper import pipeline
from bacalhaunet_paper.budgets import BUDGETS
from bacalhaunet_paper.pipeline import Pipeline, PipelineConfig

SMALL = replace(
    BUDGETS["quick"],
    file_frames_per_cell=10,
    bits_epochs=1,
    prune_epochs=1,
    frames_per_epoch=64,
    batch_size=32,
    parity_frames=8,
    slow_parity_frames=2,
    threads=1,
)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """The folder of a job that has ended, its settings, and what it printed."""
    folder = tmp_path_factory.mktemp("job")
    spec = NetworkSpec((SeparableBlock(5, 8, stride=8), SeparableBlock(3, 8)))
    torch.manual_seed(1)
    save_model(folder / "float.safetensors", build_network(spec), spec, NAMES)
    config = PipelineConfig(SMALL, str(folder / "float.safetensors"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "WEIGHT_RMS", 40.0)
        patch.setattr(pipeline, "SPEED_SECONDS", 0.2)
        patch.setattr(pipeline, "TEACHER", str(folder / "float.safetensors"))
        lines = []
        patch.setattr(pipeline, "print", lambda line: lines.append(line), raising=False)
        Pipeline(config, folder / "run").run()
        yield folder / "run", config, lines


def test_the_steps_end_with_the_network_that_the_job_ends_with(job):
    record = json.loads((job[0] / "run.json").read_text())
    assert [step["kind"] for step in record["steps"]] == ["start", "train", "prune", "prune", "prune"]
    assert [step["min_abs_weight"] for step in record["steps"]] == [None, None, 0.15, 0.25, 0.25]
    assert [step["weight_decay"] for step in record["steps"][2:]] == [5e-5, 1e-4, 5e-5]
    assert (job[0] / record["steps"][-1]["model"]).is_file()
    scores = [json.loads((job[0] / step["cost"]).read_text())["score"] for step in record["steps"]]
    assert scores == sorted(scores, reverse=True)
    frames = {json.loads((job[0] / step["evaluation"]).read_text())["frames"] for step in record["steps"]}
    assert frames == {24 * 26}  # a tenth of the file: the test part alone


def test_every_engine_is_compared_and_timed_and_a_recording_is_named(job):
    record = json.loads((job[0] / "run.json").read_text())
    compared = {parity["engines"][1] for parity in record["parity"]}
    assert {"onnxruntime on QONNX", "onnxruntime on QCDQ", "qonnx's executor"} <= compared
    assert [row["engine"] for row in record["speed"]][-1] == "onnxruntime"
    assert record["classification"]["label"] in NAMES
    assert record["classification"]["frames"] == 1  # a tenth of the cell's: test frames alone


def test_the_last_lines_say_what_was_reached_beside_the_winner_and_what_is_next(job):
    text = "\n".join(job[2])
    assert f"winner of 2021: {100 * winner().accuracy:.2f} % on the real data, at {winner().score:.6f}" in text
    assert "the recording of 8PSK was named" in text
    assert "next: bacalhaunet scan" in text


def test_a_job_that_was_done_is_not_done_again(job, monkeypatch):
    folder, config, _ = job
    for name in ("train", "prune", "measure", "generate_file", "speeds", "compare_engines"):
        monkeypatch.setattr(pipeline, name, lambda *_, **__: pytest.fail("it was done before"))
    report = (folder / "report.html").read_text()
    assert Pipeline(config, folder).run().read_text().split("</header>")[1] == report.split("</header>")[1]


def test_another_job_is_not_done_in_its_folder(job):
    with pytest.raises(ConfigError, match="other settings"):
        Pipeline(replace(job[1], seed=7), job[0])


def test_from_scratch_has_the_reports_own_settings(tmp_path):
    config = PipelineConfig(SMALL, start=None)
    training = config.training(tmp_path / "f.hdf5", None)
    optimizer = training.optimizer
    assert (optimizer.kind, optimizer.learning_rate, optimizer.weight_decay) == ("adam", 0.01, 1e-4)
    assert training.distillation is None
    assert config.criterion() == {}
