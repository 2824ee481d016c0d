"""A run of a tiny network at 6 bits, trained on a few frames, and what ships it."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Give the folder of a run that tests only read."""
    from bacalhaunet.models.blocks import SeparableBlock
    from bacalhaunet.models.spec import NetworkSpec
    from bacalhaunet.training.config import BitsConfig, DataConfig, TrainConfig
    from bacalhaunet.training.run import train

    folder = tmp_path_factory.mktemp("tiny")
    spec = folder / "tiny.yaml"
    spec.write_text(NetworkSpec((SeparableBlock(5, 4, stride=8), SeparableBlock(3, 4))).to_yaml())
    data = DataConfig(frames_per_epoch=64, validation_frames_per_cell=1)
    fixed = {"epochs": 2, "batch_size": 32, "threads": 1, "accelerator": "cpu"}
    train(TrainConfig(network=str(spec), bits=BitsConfig(), data=data, seed=3, **fixed), folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def shipped(tiny_run, tmp_path_factory):
    """Give the card of the tiny run, measured on two frames a cell; its folder has the other files."""
    from bacalhaunet.report.shipping.ship import ship

    return ship(tiny_run, "tiny", folder=tmp_path_factory.mktemp("shipped"), per_cell=2)
