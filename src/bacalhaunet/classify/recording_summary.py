r"""One answer for a recording, pooled over its frames.

.. math:: p_k = \frac{1}{n} \sum_{i=1}^n p_{k,i}

The probability of class `k` for the recording is the mean of its frames' (softmax) probabilities: a frame that is
sure and wrong cannot overrule many others, and the confidence stays that of a frame instead of growing without bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.recording_frames import LastFrame, Normalization


@dataclass(frozen=True)
class RecordingSummary:
    """What a recording is taken to be.

    Attributes:
        label: The most probable class; None if every frame is silent.
        confidence: Its pooled probability.
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
    """

    label: str | None
    confidence: float
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

    def to_dict(self) -> dict[str, Any]:
        """Return the object under ``summary`` of ``--json``."""
        return dict(vars(self))


class Pool:
    """Adds up frames' probabilities.

    Args:
        labels: Class names.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.frames = self.silent = 0
        self._sum = np.zeros(len(labels))
        self._votes = np.zeros(len(labels), np.int64)

    def add(self, probabilities: NDArray[np.float32], silent: NDArray[np.bool_]) -> None:
        """Add frames: probabilities float32 (n, classes), and which of them are silent."""
        heard = probabilities[~silent]
        self._sum += heard.sum(axis=0, dtype=np.float64)
        self._votes += np.bincount(heard.argmax(axis=1), minlength=len(self.labels))
        self.frames += len(probabilities)
        self.silent += int(silent.sum())

    def answer(self) -> tuple[str | None, float, float, dict[str, float]]:
        """Return label, confidence, agreement, and the pooled probabilities, largest first."""
        heard = self.frames - self.silent
        if not heard:
            return None, 0.0, 0.0, dict.fromkeys(self.labels, 0.0)
        pooled = self._sum / heard
        order = np.argsort(-pooled, kind="stable")
        best = int(order[0])
        ranked = {self.labels[number]: float(pooled[number]) for number in order}
        return self.labels[best], float(pooled[best]), float(self._votes[best] / heard), ranked
