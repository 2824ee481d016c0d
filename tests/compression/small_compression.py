"""A small compression: `small_compression.py FOLDER [KILL_AT_REQUEST]` prints a digest of the network it ends with.

The process kills itself with signal 9 when the given batch is asked for, counted over all steps.
"""

import hashlib
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from bacalhaunet.compression.config import AllocationConfig, CompressConfig, ScorePruningConfig
from bacalhaunet.compression.pipeline import compress
from bacalhaunet.models.catalog import separable_network
from tests.compression.small_pruning import data
from tests.training.shared_run import CLASSES, batches

SPEC = separable_network((5, 5), (2, 1), (8, 8), classes=CLASSES, frame_length=64)


class KilledAtRequest:
    """Batches; the process kills itself with signal 9 after so many of them."""

    def __init__(self, requests):
        self.left, self.source = requests, batches(1)

    def batch(self, number):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                time.sleep(0.3)
                os.kill(os.getpid(), signal.SIGKILL)
        return self.source.batch(number)


def config(folder, **changes):
    path = folder.parent / "spec.yaml"
    path.write_text(SPEC.to_yaml())
    given = {
        "network": str(path),
        "bits": (6, 5),
        "allocation": AllocationConfig(frames=32),
        "pruning": ScorePruningConfig(every_steps=2),
        "start_epochs": 6,
        "bits_epochs": 1,
        "prune_epochs": 3,
        "norm_batches": 3,
        "batch_size": 32,
        "checkpoint_every_steps": 2,
        "threads": 1,
        "accelerator": "cpu",
    }
    if "min_accuracy" not in changes:
        given["target_score"] = 0.0002
    return CompressConfig(**{**given, **changes})


def run(folder, requests=None, **changes):
    return compress(
        config(folder, **changes), folder, data=replace(data(per_epoch=6), source=KilledAtRequest(requests))
    )


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    run(target, int(sys.argv[2]) if len(sys.argv) > 2 else None)
    print(digest(target))
