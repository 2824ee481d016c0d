"""Two runs of a tiny network, in float and at 6 bits with the first as its teacher, and what ships the second."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Give the folder of the second run; it holds 128 frames of its own and 64 of the first. Tests only read it."""
    from bacalhaunet.models.blocks import SeparableBlock
    from bacalhaunet.models.spec import NetworkSpec
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
    from bacalhaunet.report.shipping.ship import Amounts, ship

    return ship(tiny_run, "tiny", folder=tmp_path_factory.mktemp("shipped"), amounts=Amounts(2, 1, 1, 0))
