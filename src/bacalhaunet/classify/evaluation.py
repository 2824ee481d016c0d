"""Accuracy of an engine on labelled frames, with its interval, by SNR, by modulation, and the confusions behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.radio.modulations import NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bacalhaunet.classify.engines import Engine

Z_95 = 1.959963984540054
"""Quantile of the standard normal distribution at 97.5 %."""

Batch = tuple["NDArray[np.float32]", "NDArray[np.int64]", "NDArray[np.float32]"]
"""Frames float32 (n, 2, length), labels int64 (n,), SNRs in dB float32 (n,)."""


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
        counts: int64 (snrs, classes, classes): frames by SNR, true class and predicted class.
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
        return {snr: float(np.trace(table) / table.sum()) for snr, table in zip(self.snrs_db, self.counts, strict=True)}

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


class Tally:
    """Counts predictions batch by batch; memory does not grow with the frames.

    Args:
        names: Class names by label.
    """

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        self.names = tuple(names)
        self._counts: dict[int, NDArray[np.int64]] = {}

    def add(self, labels: NDArray[np.int64], predicted: NDArray[np.int64], snrs_db: NDArray[np.float32]) -> None:
        """Count one batch: true labels, predicted labels and SNR labels, each (n,).

        Raises:
            ConfigError: If the three differ in length or a label is not a class.
        """
        classes = len(self.names)
        if not len(labels) == len(predicted) == len(snrs_db):
            raise ConfigError(f"{len(labels)} labels, {len(predicted)} predictions and {len(snrs_db)} SNRs")
        for what, values in (("label", labels), ("prediction", predicted)):
            if len(values) and not (values.min() >= 0 and values.max() < classes):
                raise ConfigError(f"a {what} is not a class", allowed=f"0 to {classes - 1}")
        for snr in np.unique(snrs_db):
            here = snrs_db == snr
            cells = labels[here] * classes + predicted[here]
            table = np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
            key = round(float(snr))
            self._counts[key] = self._counts.get(key, 0) + table.astype(np.int64)

    def result(self) -> Evaluation:
        """Return the evaluation of everything counted.

        Raises:
            ConfigError: If nothing was.
        """
        if not self._counts:
            raise ConfigError("no frame was evaluated", action="widen the filter or choose another part of the split")
        snrs = tuple(sorted(self._counts))
        return Evaluation(np.stack([self._counts[snr] for snr in snrs]), snrs, self.names)


def class_map(engine: Engine, names: Sequence[str] = NAMES) -> NDArray[np.int64]:
    """Return, for each logit of an engine, the label of that class in a data set with these names.

    Raises:
        ModelFileError: If the engine has a class that the data set does not.
    """
    unknown = [label for label in engine.labels if label not in names]
    if unknown:
        raise ModelFileError(
            f"the network has classes the data do not have: {', '.join(unknown)}",
            where=engine.target,
            allowed=", ".join(names),
        )
    return np.array([list(names).index(label) for label in engine.labels], np.int64)


def predict(engine: Engine, frames: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the index of the largest logit of each frame, int64 (n,).

    Raises:
        ModelFileError: If a logit is NaN: the largest of them would be a number without meaning.
    """
    logits = engine.logits(frames)
    damaged = np.flatnonzero(np.isnan(logits).any(axis=1))
    if damaged.size:
        raise ModelFileError(
            f"the network gives NaN for {damaged.size} of {len(frames)} frames, the first at {damaged[0]} of the batch",
            where=engine.target,
            action="check the frames for NaN ('bacalhaunet data check') and the network's weights",
        )
    return np.asarray(logits.argmax(axis=1), np.int64)


def evaluate(
    engine: Engine,
    batches: Iterable[Batch],
    names: Sequence[str] = NAMES,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Return the evaluation of an engine on batches of labelled frames.

    Args:
        engine: The network.
        batches: Frames, labels and SNRs in dB; batches of a thousand frames and more keep all cores busy.
        names: Class names by label of the data.
        progress: Called with the number of frames after each batch.

    Raises:
        ConfigError: If there is no frame.
        ModelFileError: If the network's classes are not the data's, or it gives NaN.
    """
    to_label = class_map(engine, names)
    tally = Tally(names)
    for frames, labels, snrs_db in batches:
        tally.add(labels, to_label[predict(engine, frames)], snrs_db)
        if progress is not None:
            progress(len(labels))
    return tally.result()
