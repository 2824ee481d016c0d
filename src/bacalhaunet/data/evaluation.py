"""Accuracy of predictions on labelled frames, with its interval, by SNR, by class, and the confusions behind it."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.errors import ConfigError

Z_95 = 1.959963984540054
"""Quantile of the standard normal distribution at 97.5 %."""

Predictor = Callable[[Any], Any]
"""Class numbers (n,) of frames (n, 2, length), arrays or tensors as the batches have them."""


def wilson_interval(correct: int, frames: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion.

        (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n),  p = correct / n

    Unlike p ± z·sigma it stays inside [0, 1] and holds for few frames. Source: E. B. Wilson, "Probable Inference, the
    Law of Succession, and Statistical Inference", JASA 22 (1927).

    Raises:
        ConfigError: Unless 0 <= correct <= frames and frames >= 1.
    """
    if not (frames >= 1 and 0 <= correct <= frames):
        raise ConfigError(f"{correct} correct of {frames} frames", allowed="0 <= correct <= frames, frames >= 1")
    p = correct / frames
    centre = p + z * z / (2 * frames)
    half = z * math.sqrt(p * (1 - p) / frames + z * z / (4 * frames * frames))
    scale = 1 + z * z / frames
    low = 0.0 if correct == 0 else (centre - half) / scale  # exactly, where rounding would leave a trace
    high = 1.0 if correct == frames else (centre + half) / scale
    return low, high


@dataclass(frozen=True)
class Evaluation:
    """What an engine made of labelled frames.

    Attributes:
        counts: int64 (snrs, classes, classes): frames by SNR, true class and predicted class. Frames of which no SNR is
            known are a last row.
        snrs_db: The SNR labels in dB of the first axis, ascending.
        names: The class names of the other two.
    """

    counts: NDArray[np.int64]
    snrs_db: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.counts.sum())

    @property
    def correct(self) -> int:
        """Number of frames whose class was named."""
        return int(np.trace(self.counts.sum(axis=0)))

    @property
    def accuracy(self) -> float:
        """Share of the frames whose class was named; equal to the mean over cells when all cells are equally large."""
        return self.correct / self.frames

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.frames)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Frames by true class (rows) and predicted class (columns)."""
        return np.asarray(self.counts.sum(axis=0), np.int64)

    def confusion_at(self, snr_db: int) -> NDArray[np.int64]:
        """Return the confusion at one SNR label.

        Raises:
            ConfigError: If no frame had that SNR.
        """
        if snr_db not in self.snrs_db:
            raise ConfigError(f"no frame has an SNR of {snr_db} dB", allowed=f"one of {list(self.snrs_db)}")
        return np.asarray(self.counts[self.snrs_db.index(snr_db)], np.int64)

    @property
    def accuracy_by_snr(self) -> dict[int, float]:
        """Accuracy at each SNR label in dB that had frames."""
        tables = zip(self.snrs_db, self.counts, strict=False)
        return {snr: float(np.trace(table) / table.sum()) for snr, table in tables}

    @property
    def accuracy_by_modulation(self) -> dict[str, float]:
        """Accuracy of each modulation that had frames."""
        confusion = self.confusion
        totals = confusion.sum(axis=1)
        return {name: float(confusion[k, k] / totals[k]) for k, name in enumerate(self.names) if totals[k]}

    def to_dict(self) -> dict[str, Any]:
        """Return what ``bacalhaunet evaluate --json`` prints."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "frames": self.frames,
            "accuracy_by_snr": {str(snr): value for snr, value in self.accuracy_by_snr.items()},
            "accuracy_by_modulation": self.accuracy_by_modulation,
            "confusion": self.confusion.tolist(),
        }

    def _repr_html_(self) -> str:
        """Return the accuracy and the confusions, shaded by the share of their row, as notebooks show them."""
        low, high = self.interval
        title = f"{100 * self.accuracy:.2f} % ({100 * low:.2f} to {100 * high:.2f}) of {self.frames:,} frames"
        shares = self.confusion / np.maximum(1, self.confusion.sum(axis=1, keepdims=True))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("true", *self.names, "accuracy"))
        rows = []
        for name, row, count in zip(self.names, shares, self.confusion, strict=True):
            cells = "".join(
                f'<td style="background: rgba(30, 100, 200, {share:.2f})">{frames:,}</td>'
                for share, frames in zip(row, count, strict=True)
            )
            right = self.accuracy_by_modulation.get(name)
            end = "" if right is None else f"{100 * right:.1f} %"
            rows.append(f"<tr><th>{html.escape(name)}</th>{cells}<td>{end}</td></tr>")
        return f"<table><caption>{title}</caption><tr>{head}</tr>{''.join(rows)}</table>"


class Tally:
    """Counts predictions batch by batch; memory does not grow with the frames.

    Args:
        names: Class names by label.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._counts: dict[int | None, NDArray[np.int64]] = {}

    def add(self, labels: NDArray[Any], predicted: NDArray[Any], snr_db: NDArray[Any] | None) -> None:
        """Count one batch: true labels, predicted labels and SNR labels, each (n,); None or NaN for no known SNR.

        Raises:
            ConfigError: If the three differ in length or a label is not a class.
        """
        classes = len(self.names)
        snr_db = np.full(len(labels), np.nan) if snr_db is None else snr_db
        if not len(labels) == len(predicted) == len(snr_db):
            raise ConfigError(f"{len(labels)} labels, {len(predicted)} predictions and {len(snr_db)} SNRs")
        for what, values in (("label", labels), ("prediction", predicted)):
            if len(values) and not (values.min() >= 0 and values.max() < classes):
                raise ConfigError(f"a {what} is not a class", allowed=f"0 to {classes - 1}")
        for snr in np.unique(snr_db):
            here, key = (np.isnan(snr_db), None) if np.isnan(snr) else (snr_db == snr, round(float(snr)))
            cells = labels[here] * classes + predicted[here]
            table = np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
            self._counts[key] = self._counts.get(key, 0) + table.astype(np.int64)

    def result(self) -> Evaluation:
        """Return the evaluation of everything counted.

        Raises:
            ConfigError: If nothing was.
        """
        if not self._counts:
            raise ConfigError("no frame was evaluated", action="widen the filter or choose another part of the split")
        snrs = tuple(sorted(snr for snr in self._counts if snr is not None))
        rows: tuple[int | None, ...] = (*snrs, None) if None in self._counts else snrs
        return Evaluation(np.stack([self._counts[snr] for snr in rows]), snrs, self.names)


def evaluate_together(
    predictors: Mapping[str, Predictor],
    batches: Iterable[tuple[Any, ...]],
    names: Sequence[str],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Evaluation]:
    """Return the evaluation of each predictor on the same batches, which are gone through once.

    Args:
        predictors: What names the classes of frames, by a name of its own.
        batches: Frames, labels, and SNRs in dB or None, in this order, as arrays or tensors.
        names: Class names by label.
        progress: Called with the number of frames after each batch.

    Raises:
        ConfigError: If there is no frame.
    """
    tallies = {name: Tally(names) for name in predictors}
    for batch in batches:
        frames, labels, snr_db = batch[0], _array(batch[1]), None if batch[2] is None else _array(batch[2])
        for name, predictor in predictors.items():
            tallies[name].add(labels, _array(predictor(frames)), snr_db)
        if progress is not None:
            progress(len(labels))
    return {name: tally.result() for name, tally in tallies.items()}


def _array(values: Any) -> NDArray[Any]:
    """Return an array, or a tensor of any device, as an array."""
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)
