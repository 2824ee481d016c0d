r"""One answer for a signal, pooled over its frames.

.. math:: P_k(t) \propto \exp\left( \frac{n_e}{n} \sum_i w_i \log p_{k,i} \right), \qquad n = \sum_i w_i, \qquad
          n_e = \frac{n}{1 + (n - 1) \rho}, \qquad w_i = e^{-(t - t_i) / \tau}

The frames' probabilities are multiplied as if `n_e` of the n frames were independent (``classify.calibration``). Frames
that overlap count as many as fit side by side. The label is that of the frames' mean logits, whatever `\rho` and the
temperature are. In a recording every frame counts the same (`\tau = \infty`). In a stream old frames are forgotten; a
signal that changes its modulation is not left to the forgetting: enough frames in a row that say otherwise start anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.groups import group_probabilities

STREAM_MEMORY_S = 3.0
"""The time constant of a stream's answers."""

_AGAINST_FRAMES = 24
_AGAINST_BLOCKS = 2
_SMALLEST = np.float32(1e-30)


@dataclass(frozen=True)
class Answer:
    """What the frames of a signal say together.

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


class _Sums:
    """What is added up over frames: logarithms of probabilities, own labels, and how many frames there were."""

    def __init__(self, classes: int) -> None:
        self.logarithms, self.votes = np.zeros(classes), np.zeros(classes)
        self.frames: float = 0

    def add(self, other: _Sums, decay: float = 1.0) -> None:
        self.logarithms = decay * self.logarithms + other.logarithms
        self.votes = decay * self.votes + other.votes
        self.frames = decay * self.frames + other.frames

    @property
    def best(self) -> int:
        """The number of the most probable class."""
        return int(self.logarithms.argmax())


class Pool:
    """Adds up frames' probabilities.

    Args:
        labels: Class names.
        calibration: How much several frames say together.
        overlap: Share of each frame's samples that the frame before it did not have; 1 where frames do not overlap.
        memory_s: The time constant of forgetting, in seconds; None forgets nothing.

    Attributes:
        labels: Class names.
        silent: Frames of zeros, which are in no answer.
    """

    def __init__(
        self,
        labels: Sequence[str],
        calibration: Calibration | None = None,
        overlap: float = 1.0,
        memory_s: float | None = None,
    ) -> None:
        self.labels = tuple(labels)
        self._calibration, self._overlap, self._memory_s = calibration or Calibration(), overlap, memory_s
        self.clear()

    def clear(self) -> None:
        """Forget all frames."""
        self.silent, self._time, self._sums = 0, 0.0, _Sums(len(self.labels))
        self._forget_against()

    @property
    def heard(self) -> float:
        """Frames in the answer, old ones counted less."""
        return self._sums.frames

    def add(self, probabilities: NDArray[np.float32], silent: NDArray[np.bool_] | None = None, time: float = 0) -> None:
        """Add frames.

        Args:
            probabilities: float32 (n, classes).
            silent: bool (n,), frames that say nothing; None for none.
            time: When they came, in seconds; of use where old frames are forgotten.
        """
        heard = probabilities if silent is None else probabilities[~silent]
        self.silent += len(probabilities) - len(heard)
        new = _Sums(len(self.labels))
        new.logarithms = np.log(np.maximum(heard, _SMALLEST)).sum(axis=0, dtype=np.float64)
        new.votes = np.bincount(heard.argmax(axis=1), minlength=len(self.labels)).astype(np.float64)
        new.frames = len(heard)
        if self._memory_s is None:
            self._sums.add(new)
        elif len(heard):
            self._add_to_stream(new, time, self._memory_s)

    def _add_to_stream(self, new: _Sums, time: float, memory_s: float) -> None:
        if self.heard and new.best != self._sums.best:
            self._against.add(new)
            self._against_blocks += 1
        else:
            self._forget_against()
        self._sums.add(new, float(np.exp(-max(0.0, time - self._time) / memory_s)))
        self._time = max(time, self._time)
        if self._against.frames >= _AGAINST_FRAMES and self._against_blocks >= _AGAINST_BLOCKS:
            self._sums = self._against
            self._forget_against()

    def _forget_against(self) -> None:
        self._against, self._against_blocks = _Sums(len(self.labels)), 0

    def answer(self) -> Answer:
        """Return the answer over the frames so far."""
        sums, heard = self._sums, self.heard
        if not heard:
            return Answer(None, 0.0, None, 0.0, 0.0, dict.fromkeys(self.labels, 0.0))
        independent = self._calibration.independent_frames(heard * self._overlap)
        exponents = sums.logarithms * (independent / max(heard, 1.0))
        pooled: Any = np.exp(exponents - exponents.max())
        pooled /= pooled.sum()
        order = np.argsort(-sums.logarithms, kind="stable")
        ranked = {self.labels[number]: float(pooled[number]) for number in order}
        group, sure = next(iter(group_probabilities(ranked).items()))
        agreement = float(sums.votes[sums.best] / heard)
        label = self.labels[sums.best]
        return Answer(label, ranked[label], group, min(sure, 1.0), agreement, ranked)
