"""Where a run's frames are made and its network trains."""

from __future__ import annotations

import os

import torch

from bacalhaunet.training.config import TrainConfig


def training_device(config: TrainConfig) -> str:
    """Name the device of this process: its GPU where there is one, unless the run asks for the CPU."""
    if config.accelerator == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ['LOCAL_RANK']}" if "LOCAL_RANK" in os.environ else "cuda"
