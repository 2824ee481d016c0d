r"""One answer for a signal that goes on, pooled over its latest frames.

.. math:: P_k(t) \propto \exp\left( \frac{n_e}{n} \sum_i e^{-(t - t_i) / \tau} \log p_{k,i} \right), \qquad
          n = \sum_i e^{-(t - t_i) / \tau}

As in ``recording_summary``, with old frames forgotten; `n_e` is how many independent frames n count as
(``classify.calibration``). A signal that changes its modulation is not left to the forgetting: enough frames in a row
that say otherwise start anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.groups import group_probabilities

MEMORY_S = 3.0
"""The time constant."""

_AGAINST_FRAMES = 24
_AGAINST_BLOCKS = 2
_SMALLEST = np.float32(1e-30)


class LiveAnswer(NamedTuple):
    """What a signal is taken to be.

    Attributes:
        label: The most probable class; None without frames.
        confidence: Its probability.
        group: The most probable group of classes; None without frames.
        group_confidence: Its probability.
    """

    label: str | None
    confidence: float
    group: str | None
    group_confidence: float


class LivePool:
    """Adds up the logarithms of the probabilities of a signal's frames.

    Args:
        labels: Class names.
        calibration: How much several frames say together.
    """

    def __init__(self, labels: Sequence[str], calibration: Calibration) -> None:
        self.labels, self._calibration = tuple(labels), calibration
        self._sum, self._frames, self._time = np.zeros(len(labels)), 0.0, 0.0
        self._forget_against()

    def add(self, probabilities: NDArray[np.float32], time: float) -> None:
        """Add the frames of a block, float32 (n, classes), that came at ``time`` in seconds."""
        if not len(probabilities):
            return
        total = np.log(np.maximum(probabilities, _SMALLEST)).sum(axis=0, dtype=np.float64)
        decay = float(np.exp(-max(0.0, time - self._time) / MEMORY_S))
        if self._frames and total.argmax() != self._sum.argmax():
            self._against_sum += total
            self._against_frames += len(probabilities)
            self._against_blocks += 1
        else:
            self._forget_against()
        self._sum, self._frames = decay * self._sum + total, decay * self._frames + len(probabilities)
        self._time = max(time, self._time)
        if self._against_frames >= _AGAINST_FRAMES and self._against_blocks >= _AGAINST_BLOCKS:
            self._sum, self._frames = self._against_sum, float(self._against_frames)
            self._forget_against()

    @property
    def frames(self) -> float:
        """Frames in the answer, old ones counted less."""
        return self._frames

    def answer(self) -> LiveAnswer:
        """Return the answer over the frames so far."""
        if not self._frames:
            return LiveAnswer(None, 0.0, None, 0.0)
        exponents = self._sum * (self._calibration.independent_frames(self._frames) / max(self._frames, 1.0))
        pooled = np.exp(exponents - exponents.max())
        pooled /= pooled.sum()
        best = int(self._sum.argmax())
        group, sure = next(iter(group_probabilities(dict(zip(self.labels, pooled.tolist(), strict=True))).items()))
        return LiveAnswer(self.labels[best], float(pooled[best]), group, min(sure, 1.0))

    def _forget_against(self) -> None:
        self._against_sum = np.zeros(len(self.labels))
        self._against_frames = self._against_blocks = 0
