"""Frames a second of the field profile, per kind of class, as a share of the twin's in the same run.

    python benchmarks/bench_field.py [--seconds 1.0] [--threads 2]

Each figure is the best of three windows. The rival is the twin, which has neither multipath nor a receiver model.
"""

from __future__ import annotations

import argparse
import time

import torch

from bacalhaunet.radio.field.config import FieldConfig
from bacalhaunet.radio.field.source import Field
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.radio.twin import Twin

BATCH = 384


def rate(source: Twin | Field, labels: torch.Tensor, seconds: float) -> float:
    """Frames a second, the best of three windows of ``seconds``."""
    snr, best, index = torch.full((len(labels),), 10.0), 0.0, torch.arange(len(labels))
    source.frames(labels, snr, index, seed=0)
    for _ in range(3):
        start, made = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            source.frames(labels, snr, index + made, seed=1)
            made += len(labels)
        best = max(best, made / (time.perf_counter() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a window")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    field, twin = Field(FieldConfig(noise_class=True)), Twin()
    print(f"{'class':12} {'field 1/s':>10} {'twin 1/s':>10} {'ratio':>6}   ({arguments.threads} threads)")
    for name in ("QPSK", "OQPSK", "GMSK", "AM-DSB-WC", "AM-SSB-SC", "FM"):
        labels = torch.full((BATCH,), NAMES.index(name))
        ours, rival = rate(field, labels, arguments.seconds), rate(twin, labels, arguments.seconds)
        print(f"{name:12} {ours:10.0f} {rival:10.0f} {ours / rival:6.2f}")
    labels = torch.arange(BATCH) % len(NAMES)
    ours, rival = rate(field, labels, arguments.seconds), rate(twin, labels, arguments.seconds)
    print(f"{'all 24':12} {ours:10.0f} {rival:10.0f} {ours / rival:6.2f}")


if __name__ == "__main__":
    main()
