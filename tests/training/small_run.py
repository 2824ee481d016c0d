"""A small training run: `small_run.py FOLDER CHECKPOINT_EVERY [KILL_AT_BATCH]` prints a digest of the weights.

The process kills itself with signal 9 when batch KILL_AT_BATCH is asked for.
"""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from bacalhaunet.data.batches import Batch
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.fit import fit
from bacalhaunet.training.run_data import ResumableBatches

CLASSES, BATCH, PER_EPOCH, EPOCHS = 4, 32, 10, 3


class NoisyLevels:
    """Frames whose mean tells their class."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at

    def batch(self, number: int) -> Batch:
        if number == self.kill_at:
            time.sleep(0.2)  # let the batches before it be trained on
            os.kill(os.getpid(), signal.SIGKILL)
        generator = torch.Generator().manual_seed(number)
        labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
        noise = torch.randn(BATCH, 2, 16, generator=generator)
        return Batch(noise + labels[:, None, None], labels, torch.zeros(BATCH))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES))


def run(folder: Path, checkpoint_every: int, kill_at: int | None = None) -> str:
    trained = network()
    config = TrainConfig(epochs=EPOCHS, batch_size=BATCH, checkpoint_every_steps=checkpoint_every, threads=1)
    validation = [NoisyLevels().batch(10_000)]
    result = fit(
        trained, ResumableBatches(NoisyLevels(kill_at), PER_EPOCH), validation, config, folder, classes=CLASSES
    )
    digest = hashlib.sha256()
    for tensor in trained.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    accuracies = [point.validation_accuracy for point in result.curve]
    return f"{digest.hexdigest()} {result.frames_seen} {accuracies}"


if __name__ == "__main__":
    kill_at = int(sys.argv[3]) if len(sys.argv) > 3 else None
    print(run(Path(sys.argv[1]), int(sys.argv[2]), kill_at))
