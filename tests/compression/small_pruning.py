"""A small pruning to a score: `small_pruning.py FOLDER [KILL_AT_BATCH]` prints a digest of the weights."""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import torch

from bacalhaunet.compression.config import ScorePruningConfig
from bacalhaunet.compression.schedule import prune_to_score
from bacalhaunet.models.catalog import separable_network
from bacalhaunet.models.network import build_network
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.run_data import TrainingData
from tests.training.shared_run import BATCH, CLASSES, batches

SPEC = separable_network((5, 5), (2, 1), (8, 8), classes=CLASSES, frame_length=64).quantized(4, 4, sum_bits=4)
TARGET = 0.00015


class KilledAt:
    """Batches; the process kills itself with signal 9 when one of them is asked for."""

    def __init__(self, number):
        self.number, self.source = number, batches(1)

    def batch(self, number):
        if number == self.number:
            time.sleep(0.3)  # let the batches before it be trained on
            os.kill(os.getpid(), signal.SIGKILL)
        return self.source.batch(number)


def data(kill_at=None, per_epoch=10):
    classes = ClassSet(tuple("abcdefgh"[:CLASSES]))
    return TrainingData(KilledAt(kill_at), per_epoch, [batches(7).batch(0)], classes, "tones")


def start(spec=SPEC):
    torch.manual_seed(0)
    return build_network(spec)


def run(folder, kill_at=None, pruning=None, target=TARGET, network=None):
    network = network or start()
    pruning = pruning or ScorePruningConfig(every_steps=3, end=0.5, freeze=0.7, regrow=True)
    config = TrainConfig(epochs=3, batch_size=BATCH, checkpoint_every_steps=4, threads=1, accelerator="cpu")
    result = prune_to_score(network, SPEC, target, pruning, data(kill_at), config, folder)
    return network, result


def digest(network, result):
    found = hashlib.sha256()
    for tensor in network.state_dict().values():
        found.update(tensor.numpy().tobytes())
    return f"{found.hexdigest()} {[point.validation_accuracy for point in result.curve]}"


if __name__ == "__main__":
    print(digest(*run(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)))
