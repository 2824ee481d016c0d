r"""Fitting a temperature and a correlation of frames, and measuring how honest probabilities are.

.. math:: \hat T_0, \hat r = \arg\min -\frac{1}{n} \sum_i \log p_{y_i, i}(T_0, r), \qquad
          \mathrm{ECE} = \sum_{b=1}^{15} \frac{n_b}{n} \left| \mathrm{acc}_b - \mathrm{conf}_b \right|

over frames with known classes y; b are 15 equal bins of the largest probability (Naeini, Cooper and Hauskrecht,
"Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; Guo et al. 2017, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.errors import ConfigError

BINS = 15
FRAME_COUNTS = (1, 2, 4, 8, 16, 32)
"""Frames of a signal over which the correlation is fitted."""


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


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64], rising: bool = True) -> Calibration:
    """Return the temperature, and its rise with the entropy, of the smallest negative log-likelihood.

    The correlation is the default.

    Args:
        logits: (n, classes).
        labels: True classes (n,).
        rising: Whether the temperature may depend on the entropy.

    Raises:
        ConfigError: If there is no frame or a logit is not finite.
    """
    from scipy.optimize import minimize

    if not len(labels) or not np.isfinite(logits).all():
        raise ConfigError(f"{len(labels)} frames to calibrate with", allowed="one or more, with finite logits")
    logits = np.asarray(logits, np.float64)

    def cost(place: NDArray[np.float64]) -> float:
        return negative_log_likelihood(log_softmax(_at(place).scaled(logits)), labels)

    bounds = ((np.log(0.05), np.log(20)), (-2, 6))[: 1 + rising]
    found = minimize(
        cost, [0.0] * len(bounds), method="Nelder-Mead", bounds=bounds, options={"xatol": 1e-4, "fatol": 1e-7}
    )
    return _at(found.x)


def _at(place: NDArray[np.float64]) -> Calibration:
    return Calibration(round(float(np.exp(place[0])), 4), round(float(place[1]), 4) if len(place) > 1 else 0.0)


@dataclass(frozen=True)
class Signals:
    """Logits of frames, in order, of signals whose classes are known.

    Attributes:
        logits: (signals, frames, classes); the same number of frames of each.
        labels: True classes, int64 (signals,).
    """

    logits: NDArray[np.floating]
    labels: NDArray[np.int64]

    def means(self, frames: int, calibration: Calibration) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the means of log probabilities over ``frames`` frames each, (answers, classes), and the true classes.

        A signal of more frames gives several answers.
        """
        signals, most, classes = self.logits.shape
        parts = most // frames
        rows = self.logits[:, : parts * frames].reshape(signals * parts, frames, classes)
        return log_softmax(calibration.scaled(rows)).mean(axis=1), np.repeat(self.labels, parts)

    def pooled(self, frames: int, calibration: Calibration) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return log probabilities of answers pooled over ``frames`` frames each, and the true classes."""
        means, labels = self.means(frames, calibration)
        return log_softmax(means * calibration.independent_frames(frames)), labels

    def frame_counts(self) -> Sequence[int]:
        """Return the numbers of frames that answers are pooled over."""
        return [count for count in FRAME_COUNTS if count <= self.logits.shape[1]]


def fit_correlation(signals: Signals, calibration: Calibration) -> Calibration:
    """Return a calibration with the correlation, in steps of 0.01, of the smallest negative log-likelihood.

    The mean is taken over answers pooled over 1, 2, 4 ... frames.
    """
    means = [(count, *signals.means(count, calibration)) for count in signals.frame_counts()]

    def cost(candidate: Calibration) -> float:
        pooled = [(log_softmax(mean * candidate.independent_frames(count)), labels) for count, mean, labels in means]
        return float(np.mean([negative_log_likelihood(*one) for one in pooled]))

    return min((replace(calibration, correlation=round(0.01 * step, 2)) for step in range(101)), key=cost)
