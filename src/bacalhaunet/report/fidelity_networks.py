"""Accuracy of networks trained on the real data over the twin, beside what is published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bacalhaunet.classify.evaluation import Evaluation, wilson_interval
from bacalhaunet.report.fidelity_published import PublishedNetwork

OVERALL, PER_SNR = 0.005, 0.02
"""The twin is meant to agree within half a point overall and two points at each SNR label."""


@dataclass(frozen=True)
class NetworkFidelity:
    """One network.

    Attributes:
        file: Its file's name.
        evaluation: Over the twin.
        published: On the real data, or None where nothing is known.
    """

    file: str
    evaluation: Evaluation
    published: PublishedNetwork | None

    @property
    def difference(self) -> float | None:
        """Accuracy on the twin less the published one."""
        return None if self.published is None else self.evaluation.accuracy - self.published.accuracy

    def by_snr(self) -> list[tuple[int, float, tuple[float, float], float | None]]:
        """SNR label, accuracy on the twin, its 95 % interval and the published accuracy."""
        rows = []
        for snr, table in zip(self.evaluation.snrs_db, self.evaluation.counts, strict=True):
            correct, count = int(np.trace(table)), int(table.sum())
            known = self.published.accuracy_by_snr.get(snr) if self.published else None
            rows.append((snr, correct / count, wilson_interval(correct, count), known))
        return rows

    def confusion_rows(self) -> list[dict[str, Any]]:
        """Each published confusion row with the twin's and their total-variation distance, sum |p - q| / 2."""
        rows = []
        for snr, published in (self.published.confusion if self.published else {}).items():
            if snr not in self.evaluation.snrs_db:
                continue
            table = self.evaluation.confusion_at(snr)
            for label, name in enumerate(self.evaluation.names):
                real = np.asarray(published[label]) / max(sum(published[label]), 1e-9)
                twin = table[label] / max(1, table[label].sum())
                rows.append(
                    {
                        "snr_db": snr,
                        "modulation": name,
                        "real": real.round(4).tolist(),
                        "twin": twin.round(4).tolist(),
                        "distance": float(np.abs(real - twin).sum() / 2),
                    }
                )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "file": self.file,
            "network": self.published.name if self.published else Path(self.file).stem,
            "source": self.published.source if self.published else None,
            "accuracy": self.evaluation.accuracy,
            "interval": list(self.evaluation.interval),
            "published": self.published.accuracy if self.published else None,
            "difference": self.difference,
            "frames": self.evaluation.frames,
            "by_snr": [
                {"snr_db": snr, "accuracy": twin, "interval": list(interval), "published": known}
                for snr, twin, interval, known in self.by_snr()
            ],
            "confusion_rows": self.confusion_rows(),
        }
