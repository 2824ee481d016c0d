"""How accurate is a network after the same frames with Muon and with Adam?

    python benchmarks/bench_optimizers.py [--network bacalhaunet] [--frames 102400] [--batch 256]

Both trainings start from the same weights and see the same generated frames of the twin in the same order; each
anneals once. Printed are validation accuracy over frames, at the end the ratio of the losses on validation frames, and
the time a step took, since Muon does more work in it.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

from bacalhaunet.training.config import DataConfig, OptimizerConfig, TrainConfig
from bacalhaunet.training.run import train

OPTIMIZERS = {
    "adam": OptimizerConfig(0.005, schedule="one-cycle"),
    "muon": OptimizerConfig(0.005, schedule="one-cycle", kind="muon", matrix_learning_rate=0.05),
}
EPOCHS = 4


def last_validation_loss(folder: Path) -> float:
    """Return the validation loss at the end of the run in ``folder``."""
    path = max(folder.glob("csv/*/metrics.csv"))
    with path.open() as lines:
        losses = [row["validation_loss"] for row in csv.DictReader(lines) if row.get("validation_loss")]
    return float(losses[-1])


def main() -> None:
    """Train with both and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="bacalhaunet")
    parser.add_argument("--frames", type=int, default=102_400)
    parser.add_argument("--batch", type=int, default=256)
    given = parser.parse_args()
    losses = {}
    with tempfile.TemporaryDirectory() as work:
        for name, optimizer in OPTIMIZERS.items():
            config = TrainConfig(
                given.network,
                optimizer=optimizer,
                data=DataConfig(frames_per_epoch=given.frames // EPOCHS),
                epochs=EPOCHS,
                batch_size=given.batch,
            )
            folder = Path(work) / name
            result = train(config, folder).result
            losses[name] = last_validation_loss(folder)
            points = ", ".join(f"{point.frames:,}: {100 * point.validation_accuracy:.1f} %" for point in result.curve)
            each = 1e3 * result.seconds / (result.frames_seen / given.batch)
            print(f"{name}: {points}; validation loss {losses[name]:.3f}; {each:.0f} ms a step, validation included")
    print(f"muon / adam: validation loss {losses['muon'] / losses['adam']:.3f}")


if __name__ == "__main__":
    main()
