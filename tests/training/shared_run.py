"""A small run: `shared_run.py FOLDER BITS` leaves its losses in FOLDER/losses.json. torchrun starts it in parts."""

import json
import os
import sys
from pathlib import Path

import torch
from lightning.pytorch import Callback

from bacalhaunet.data.batches import GeneratedBatches
from bacalhaunet.models.catalog import separable_network
from bacalhaunet.models.network import build_network
from bacalhaunet.training.config import OptimizerConfig, TrainConfig
from bacalhaunet.training.fit import fit
from bacalhaunet.training.run_data import ResumableBatches

CLASSES, BATCH, PER_EPOCH, EPOCHS = 4, 32, 12, 2


class NoisyTones:
    """Frames of 64 samples whose frequency tells their class, each by its own number."""

    def frames(self, modulation, snr_db, index, *, seed):
        made = []
        for label, number in zip(modulation.tolist(), index.tolist(), strict=True):
            generator = torch.Generator().manual_seed(1000 * seed + 10 * number + label)
            turns = 2 * torch.pi * (label + 1) * torch.arange(64) / 64
            made.append(torch.stack([turns.cos(), turns.sin()]) + 0.5 * torch.randn(2, 64, generator=generator))
        return torch.stack(made)


class Losses(Callback):
    """Keeps the logged loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer, *_):
        self.values.append(float(trainer.callback_metrics["train_loss"]))


def batches(seed: int) -> GeneratedBatches:
    return GeneratedBatches(NoisyTones(), BATCH, seed=seed, labels=range(CLASSES), snrs_db=[0, 10])


def run(folder: Path, bits: int | None) -> None:
    spec = separable_network((5, 5), (2, 1), (8, 8), classes=CLASSES, frame_length=64)
    torch.manual_seed(0)
    network = build_network(spec.quantized(bits, bits, sum_bits=bits))
    optimizer = OptimizerConfig(learning_rate=0.01, weight_decay=1e-4)
    config = TrainConfig(
        epochs=EPOCHS,
        batch_size=BATCH,
        checkpoint_every_steps=5,
        threads=1,
        accelerator="cpu",
        optimizer=optimizer,
    )
    validation = [batches(7).batch(number) for number in range(3)]
    losses, given = Losses(), ResumableBatches(batches(1), PER_EPOCH)
    result = fit(network, given, validation, config, folder, classes=CLASSES, callbacks=[losses])
    if int(os.environ.get("RANK", 0)) == 0:
        torch.save(network.state_dict(), folder / "weights.pt")
        (folder / "losses.json").write_text(json.dumps(losses.values))
        (folder / "frames_seen").write_text(str(result.frames_seen))


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]) or None)
