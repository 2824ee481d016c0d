r"""Fitting a temperature and a correlation of frames, and measuring how honest probabilities are.

.. math:: \hat T = \arg\min_T -\frac{1}{n} \sum_i \log p_{y_i, i}(T), \qquad
          \mathrm{ECE} = \sum_{b=1}^{15} \frac{n_b}{n} \left| \mathrm{acc}_b - \mathrm{conf}_b \right|

over frames with known classes y; b are 15 equal bins of the largest probability (Naeini, Cooper and Hauskrecht,
"Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; Guo et al. 2017, section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.errors import ConfigError

BINS = 15
FRAME_COUNTS = (1, 2, 4, 8, 16, 32)
"""Frames of a signal over which the correlation is fitted."""

_GOLDEN = (5**0.5 - 1) / 2
_TEMPERATURES = (0.05, 20.0)


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    r"""Return `z_k - \log \sum_j e^{z_j}` along the last axis, float64."""
    shifted = np.asarray(logits, np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def negative_log_likelihood(log_probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean of -log p of the true class, in nats; (n, classes) and (n,)."""
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def expected_calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], bins: int = BINS
) -> float:
    """Return the mean gap of confidence and share of right labels over equal bins of confidence, 0 to 1.

    Args:
        probabilities: (n, classes).
        labels: True classes (n,).
        bins: Number of bins from 0 to 1.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, right, bins) - np.bincount(place, confidence, bins)
    return float(np.abs(gaps).sum() / len(labels))


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the temperature of the smallest negative log-likelihood, 0.05 to 20, to four digits.

    Raises:
        ConfigError: If there is no frame or a logit is not finite.
    """
    if not len(labels) or not np.isfinite(logits).all():
        raise ConfigError(f"{len(labels)} frames to calibrate with", allowed="one or more, with finite logits")
    return round(_smallest(lambda t: negative_log_likelihood(log_softmax(logits / t), labels), *_TEMPERATURES), 4)


def _smallest(cost: Callable[[float], float], low: float, high: float) -> float:
    """Golden-section search on a logarithmic scale; the likelihood is unimodal in 1/T."""
    a, b = np.log(low), np.log(high)
    inner = [b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)]
    costs = [cost(float(np.exp(place))) for place in inner]
    while b - a > 1e-5:
        if costs[0] <= costs[1]:
            b, inner[1], costs[1] = inner[1], inner[0], costs[0]
            inner[0] = b - _GOLDEN * (b - a)
            costs[0] = cost(float(np.exp(inner[0])))
        else:
            a, inner[0], costs[0] = inner[0], inner[1], costs[1]
            inner[1] = a + _GOLDEN * (b - a)
            costs[1] = cost(float(np.exp(inner[1])))
    return float(np.exp((a + b) / 2))


@dataclass(frozen=True)
class Signals:
    """Logits of frames, in order, of signals whose classes are known.

    Attributes:
        logits: (signals, frames, classes); the same number of frames of each.
        labels: True classes, int64 (signals,).
    """

    logits: NDArray[np.floating]
    labels: NDArray[np.int64]

    def pooled(self, frames: int, calibration: Calibration) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return log probabilities of answers pooled over ``frames`` frames each, and the true classes.

        A signal of more frames gives several answers.
        """
        signals, most, classes = self.logits.shape
        parts = most // frames
        rows = self.logits[:, : parts * frames].reshape(signals * parts, frames, classes)
        means = log_softmax(rows / calibration.temperature).mean(axis=1)
        return log_softmax(means * calibration.independent_frames(frames)), np.repeat(self.labels, parts)

    def frame_counts(self) -> Sequence[int]:
        """Return the numbers of frames that answers are pooled over."""
        return [count for count in FRAME_COUNTS if count <= self.logits.shape[1]]


def fit_correlation(signals: Signals, temperature: float) -> float:
    """Return the correlation, in steps of 0.01, of the smallest mean negative log-likelihood of pooled answers."""

    def cost(correlation: float) -> float:
        calibration = Calibration(temperature, correlation)
        return float(
            np.mean([negative_log_likelihood(*signals.pooled(n, calibration)) for n in signals.frame_counts()])
        )

    return min((round(0.01 * step, 2) for step in range(101)), key=cost)
