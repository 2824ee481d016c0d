r"""One answer for a recording, pooled over its frames.

.. math:: P_k \propto \exp\left( \frac{n_e}{n} \sum_{i=1}^n \log p_{k,i} \right), \qquad
          n_e = \frac{n}{1 + (n - 1) \rho}

The frames' probabilities are multiplied as if `n_e` of the n frames were independent (``classify.calibration``). Frames
that overlap count as many as fit side by side. The label is that of the frames' mean logits, whatever `\rho` and the
temperature are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.groups import group_probabilities
from bacalhaunet.classify.recording_frames import LastFrame, Normalization

_SMALLEST = np.float32(1e-30)


@dataclass(frozen=True)
class RecordingSummary:
    """What a recording is taken to be.

    Attributes:
        label: The most probable class; None if every frame is silent.
        confidence: Its pooled probability.
        group: The most probable group of classes (``classify.groups``); None if every frame is silent.
        group_confidence: Its pooled probability.
        agreement: Share of the frames, silent ones left out, whose own label it is.
        probabilities: Pooled probability of each class, largest first.
        frames: Number of frames, silent ones included.
        silent_frames: Frames of zeros; they get no label and are not pooled.
        samples: Complex samples of the recording.
        sample_rate: Samples per second; None if unknown.
        frame_length: Samples of a frame.
        frame_step: Samples from frame to frame.
        normalization: How frames were scaled.
        scale: Factor the samples were multiplied with; None for none.
        last_frame: What became of the last samples.
        file: The recording.
        network: The network.
        engine: What computed it.
        temperature: Logits were divided by this; 1 for a network that nobody calibrated.
    """

    label: str | None
    confidence: float
    group: str | None
    group_confidence: float
    agreement: float
    probabilities: dict[str, float]
    frames: int
    silent_frames: int
    samples: int
    sample_rate: float | None
    frame_length: int
    frame_step: int
    normalization: Normalization
    scale: float | None
    last_frame: LastFrame
    file: str
    network: str
    engine: str
    temperature: float

    def to_dict(self) -> dict[str, Any]:
        """Return the object under ``summary`` of ``--json``."""
        return dict(vars(self))


@dataclass(frozen=True)
class PooledAnswer:
    """The answer of many frames.

    Attributes:
        label: The most probable class; None without frames.
        confidence: Its probability.
        group: The most probable group of classes; None without frames.
        group_confidence: Its probability.
        agreement: Share of the frames whose own label it is.
        probabilities: Probability of each class, largest first.
    """

    label: str | None
    confidence: float
    group: str | None
    group_confidence: float
    agreement: float
    probabilities: dict[str, float]


class Pool:
    """Adds up frames' probabilities.

    Args:
        labels: Class names.
        calibration: How much several frames say together.
        overlap: Share of each frame's samples that the frame before it did not have; 1 where frames do not overlap.
    """

    def __init__(self, labels: Sequence[str], calibration: Calibration | None = None, overlap: float = 1.0) -> None:
        self.labels = tuple(labels)
        self.calibration, self.overlap = calibration or Calibration(), overlap
        self.frames = self.silent = 0
        self._sum = np.zeros(len(labels))
        self._votes = np.zeros(len(labels), np.int64)

    def add(self, probabilities: NDArray[np.float32], silent: NDArray[np.bool_]) -> None:
        """Add frames: probabilities float32 (n, classes), and which of them are silent."""
        heard = probabilities[~silent]
        self._sum += np.log(np.maximum(heard, _SMALLEST)).sum(axis=0, dtype=np.float64)
        self._votes += np.bincount(heard.argmax(axis=1), minlength=len(self.labels))
        self.frames += len(probabilities)
        self.silent += int(silent.sum())

    def answer(self) -> PooledAnswer:
        """Return the answer over the frames so far."""
        heard = self.frames - self.silent
        if not heard:
            return PooledAnswer(None, 0.0, None, 0.0, 0.0, dict.fromkeys(self.labels, 0.0))
        exponents = self._sum * (self.calibration.independent_frames(heard * self.overlap) / heard)
        pooled = np.exp(exponents - exponents.max())
        pooled /= pooled.sum()
        order = np.argsort(-self._sum, kind="stable")
        best = int(order[0])
        ranked = {self.labels[number]: float(pooled[number]) for number in order}
        group, group_confidence = next(iter(group_probabilities(ranked).items()))
        agreement = float(self._votes[best] / heard)
        return PooledAnswer(
            self.labels[best], float(pooled[best]), group, min(group_confidence, 1.0), agreement, ranked
        )
