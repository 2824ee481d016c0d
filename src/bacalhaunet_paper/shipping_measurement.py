"""What a card says of a network: its accuracy on the whole test split, gone through once, and its calibration."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.calibration_data import frame_logits, signal_logits
from bacalhaunet.classify.calibration_fit import calibrate
from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.evaluation import evaluate
from bacalhaunet.data.batches import Batch, GeneratedBatches
from bacalhaunet.data.dataset import Batch as FrameBatch
from bacalhaunet.data.evaluation import Evaluation
from bacalhaunet.data.generated import TEST_SEED
from bacalhaunet.errors import ModelFileError
from bacalhaunet.prefetch import prefetch
from bacalhaunet.radio.modulations import SNRS_DB
from bacalhaunet.radio.profiles import make_source
from bacalhaunet.resume import once
from bacalhaunet.training.curve import duration

PER_CELL = 410
"""Frames of each modulation at each SNR in the test split, as in RadioML 2018.01A's: 255,840 in all."""

BATCH = 2048
PART_BATCHES = 8
"""Batches between two points a measurement can go on from."""


@dataclass(frozen=True)
class Split:
    """Frames 0 to ``per_cell - 1`` of every modulation at every SNR label, under one seed.

    Attributes:
        profile: What makes the frames.
        per_cell: Frames of a cell.
        seed: Names the frames.
    """

    profile: str = "twin"
    per_cell: int = PER_CELL
    seed: int = TEST_SEED

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by label."""
        return make_source(self.profile).classes.names

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.names) * len(SNRS_DB) * self.per_cell

    def parts(self) -> list[range]:
        """Return the numbers of the batches of each part."""
        count = -(-self.frames // self._batch)
        return [range(start, min(start + PART_BATCHES, count)) for start in range(0, count, PART_BATCHES)]

    def batches(self, numbers: range) -> Iterator[Batch]:
        """Make batches by number, the next one in the background while the last one is used."""
        source = GeneratedBatches(make_source(self.profile), self._batch, seed=self.seed, labels=range(len(self.names)))
        tasks = (partial(source.batch, number) for number in numbers)
        for number, batch in zip(numbers, prefetch(tasks), strict=True):
            yield batch.part(slice(min(self._batch, self.frames - number * self._batch)))

    @property
    def _batch(self) -> int:
        return min(BATCH, self.frames)


def measure(engine: Engine, split: Split, folder: Path) -> Evaluation:
    """Evaluate an engine's network on a split.

    A part that was counted before is read back from ``folder``: the same network is never measured twice on the same
    frames, and an interrupted measurement goes on. The parts are kept under a digest of the network's file.

    Args:
        engine: The network; its target is a file.
        split: The frames.
        folder: Where counts are kept.

    Raises:
        ModelFileError: If the network's classes are not the split's, it gives NaN, or counts in ``folder`` are damaged.
    """
    names = split.names
    digest = hashlib.sha256(Path(engine.target).read_bytes()).hexdigest()[:16]
    kept = folder / f"{split.profile}-{split.seed}-{split.per_cell}-{digest}-{engine.name}"
    total = np.zeros((len(SNRS_DB), len(names), len(names)), np.int64)
    begun, counted, parts = time.monotonic(), 0, split.parts()
    for number, part in enumerate(parts):
        path = kept / f"part-{number}.json"
        known = path.is_file()
        total += _counts(once(path, partial(_count, engine, split, part)), total.shape, path)
        if not known:
            counted += 1
            left = (time.monotonic() - begun) / counted * (len(parts) - number - 1)
            print(f"measuring: part {number + 1} of {len(parts)}, {duration(left)} left", file=sys.stderr, flush=True)
    result = Evaluation(total, SNRS_DB, names)
    if result.frames != split.frames:
        raise ModelFileError(
            f"{result.frames} frames were counted of {split.frames}", where=str(kept), action="delete the folder"
        )
    return result


def _count(engine: Engine, split: Split, part: range) -> list[list[list[int]]]:
    """Count the frames of a part by SNR label, class and named class."""
    counts = np.zeros((len(SNRS_DB), len(split.names), len(split.names)), np.int64)
    found = evaluate(engine, split.batches(part), split.names)
    counts[[SNRS_DB.index(snr) for snr in found.snrs_db]] = found.counts
    return counts.tolist()


def _counts(values: Any, shape: tuple[int, ...], path: Path) -> NDArray[np.int64]:
    try:
        counts = np.array(values, np.int64)
        if counts.shape != shape:
            raise ValueError(f"counts of shape {counts.shape}")
    except ValueError as error:
        raise ModelFileError(f"the counts are damaged: {error}", where=str(path), action="delete the file") from error
    return counts


_SIGNALS_SEED = 2018


def fitted(engine: Engine, split: Split, signals: int) -> Calibration:
    """Return a network's calibration with its errors before and after, measured on halves it was not fitted to.

    Args:
        engine: The network.
        split: Validation frames.
        signals: Signals of each class at every other SNR label that the correlation of frames is fitted to; 0, and
            frames of another profile than the twin, leave it at its default.
    """
    print(f"calibrating on {split.frames:,} validation frames", file=sys.stderr)
    logits, labels = frame_logits(engine, _batches(split), split.names)
    of_twin = signals > 0 and split.profile == "twin"
    heard = signal_logits(engine, [float(snr) for snr in SNRS_DB[::2]], signals, _SIGNALS_SEED) if of_twin else None
    report = calibrate(logits, labels, heard)
    measured = {
        "frames": report.after.answers,
        "data": f"validation frames of the {split.profile} profile, seed {split.seed}",
        "ece": [round(report.before.ece, 5), round(report.after.ece, 5)],
        "nll": [round(report.before.nll, 5), round(report.after.nll, 5)],
    }
    return replace(report.calibration, measured=measured)


def _batches(split: Split) -> Iterator[FrameBatch]:
    for part in split.parts():
        for batch in split.batches(part):
            frames, labels, snrs = (tensor.cpu().numpy() for tensor in (batch.frames, batch.labels, batch.snrs_db))
            yield FrameBatch(frames, labels, snrs)
