"""A tiny budget, and trainings made up for tests of what is said about them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bacalhaunet.cost.of import cost_of
from bacalhaunet.data.evaluation import wilson_interval
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet_paper.budgets import Setting, TableBudget
from bacalhaunet_paper.jobs import Trained
from tests.report.conftest import synthetic_run  # noqa: F401

TINY = TableBudget(
    "tiny",
    train_frames=512,
    train_epochs=2,
    tune_frames=256,
    tune_epochs=1,
    float_frames=384,
    bits_frames=192,
    initial_frames=128,
    batch_size=64,
    initial_batch_size=32,
    schedule="one-cycle",
    optimizer="muon",
    validation_per_cell=1,
    test_per_cell=1,
    spread_per_cell=4,
    weight_decays=(5e-5, 1e-4),
    min_abs_weights=(0.15, 0.25),
    kernels=(3,),
)


@pytest.fixture
def tiny():
    return Setting(TINY, threads=1)


class MadeUpJobs:
    """Answers as Jobs do, by rules instead of training: `accuracy(job or label)` and scores of the specifications."""

    def __init__(self, setting, accuracy, frames=255_840):
        self.setting, self.accuracy, self.count = setting, accuracy, frames
        self.frames = SimpleNamespace(description="made up", validation=[], names=NAMES)
        self.stages = SimpleNamespace(say=lambda text: None)
        self.trained, self.accuracies = [], {}

    def train(self, job):
        self.trained.append(job)
        value = self.accuracy(job)
        kept = 1.0 if job.min_abs_weight is None else 0.5 ** len([j for j in self.trained if j.start is None])
        trained = Trained(f"stages/{job.name}/model.safetensors", value, 1000, kept * cost_of(job.spec).score, kept)
        self.accuracies[trained.model] = value
        return trained

    def rounded(self, label, given, spec):
        trained = Trained(f"stages/{label}-rounded", given.validation_accuracy - 0.1, 1000, cost_of(spec).score, 1.0)
        self.accuracies[trained.model] = trained.validation_accuracy
        return trained

    def measure(self, table, models):
        found = {}
        for label, trained in models.items():
            correct = round(self.accuracies[trained.model] * self.count)
            interval = list(wilson_interval(correct, self.count))
            found[label] = {"accuracy": correct / self.count, "interval": interval, "frames": self.count}
        return found


@pytest.fixture
def made_up(tiny):
    return lambda accuracy, **options: MadeUpJobs(tiny, accuracy, **options)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Give the folder of the second run; it holds 128 frames of its own and 64 of the first. Tests only read it."""
    from bacalhaunet.models.spec import NetworkSpec, SeparableBlock
    from bacalhaunet.training.config import BitsConfig, DataConfig, DistillationConfig, TrainConfig
    from bacalhaunet.training.run import train

    folder = tmp_path_factory.mktemp("tiny")
    spec = folder / "tiny.yaml"
    spec.write_text(NetworkSpec((SeparableBlock(5, 4, stride=8), SeparableBlock(3, 4))).to_yaml())
    data = DataConfig(frames_per_epoch=64, validation_frames_per_cell=1)
    fixed = {"data": data, "batch_size": 32, "threads": 1, "accelerator": "cpu"}
    first = train(TrainConfig(network=str(spec), epochs=1, seed=2, **fixed), folder / "float")
    teacher = DistillationConfig(str(first.model))
    six = TrainConfig(network=str(first.model), bits=BitsConfig(), epochs=2, seed=3, distillation=teacher, **fixed)
    train(six, folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def shipped(tiny_run, tmp_path_factory):
    """Give the card of the second run, measured on two frames a cell; its folder has the other files."""
    from bacalhaunet_paper.shipping import Amounts, ship

    return ship(tiny_run, "tiny", folder=tmp_path_factory.mktemp("shipped"), amounts=Amounts(2, 1, 1, 0))
