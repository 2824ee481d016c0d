"""The calibration of a shipped network: fitted to validation frames, and to signals of the twin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.calibration_data import frame_logits, signal_logits
from bacalhaunet.classify.calibration_fit import calibrate
from bacalhaunet.classify.engines import Engine
from bacalhaunet.data.dataset import Batch as FrameBatch
from bacalhaunet.radio.modulations import SNRS_DB
from bacalhaunet_paper.shipping_measurement import Split

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
