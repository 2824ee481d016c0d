r"""Fitting a temperature and a correlation of frames, and measuring how honest probabilities are.

.. math:: \hat T_0, \hat r = \arg\min -\frac{1}{n} \sum_i \log p_{y_i, i}(T_0, r), \qquad
          \mathrm{ECE} = \sum_{b=1}^{15} \frac{n_b}{n} \left| \mathrm{acc}_b - \mathrm{conf}_b \right|

over frames with known classes y; b are 15 equal bins of the largest probability (Naeini, Cooper and Hauskrecht,
"Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; Guo et al. 2017, section 3).

A network calibrated and what that changes, measured on frames that the fit did not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

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

    The correlation is the default. Where every frame is classified correctly the temperature stays 1: the likelihood
    is largest at 0, a certainty that so few frames cannot show.

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
    if (logits.argmax(axis=1) == labels).all():
        return Calibration()

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

    The mean is taken over answers pooled over 1, 2, 4 ... frames. Where every frame is classified correctly the
    correlation stays as it is.
    """
    if (signals.logits.argmax(axis=2) == signals.labels[:, None]).all():
        return calibration
    means = [(count, *signals.means(count, calibration)) for count in signals.frame_counts()]

    def cost(candidate: Calibration) -> float:
        pooled = [(log_softmax(mean * candidate.independent_frames(count)), labels) for count, mean, labels in means]
        return float(np.mean([negative_log_likelihood(*one) for one in pooled]))

    return min((replace(calibration, correlation=round(0.01 * step, 2)) for step in range(101)), key=cost)


@dataclass(frozen=True)
class Quality:
    """How good the probabilities of answers are.

    Attributes:
        answers: Number of answers.
        accuracy: Share of right labels.
        confidence: Mean confidence.
        nll: Mean negative log-likelihood, nats.
        ece: Expected calibration error, 15 bins.
    """

    answers: int
    accuracy: float
    confidence: float
    nll: float
    ece: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def quality(log_probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> Quality:
    """Return the quality of answers: log probabilities (n, classes) and true classes (n,)."""
    probabilities = np.exp(log_probabilities)
    return Quality(
        len(labels),
        float((probabilities.argmax(axis=1) == labels).mean()),
        float(probabilities.max(axis=1).mean()),
        negative_log_likelihood(log_probabilities, labels),
        expected_calibration_error(probabilities, labels),
    )


@dataclass(frozen=True)
class CalibrationReport:
    """A calibration and what was measured.

    Attributes:
        calibration: Fitted to all frames and signals.
        before: Quality of frames' answers with temperature 1.
        constant: The same with one temperature for all frames; only of a fit.
        after: The same with the temperature of the calibration.
        signals: By number of frames pooled: quality of the answers.
        averaged: The same, of the plain mean of the frames' probabilities, for comparison.
    """

    calibration: Calibration
    before: Quality
    constant: Quality | None
    after: Quality
    signals: dict[int, Quality]
    averaged: dict[int, Quality]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "temperature": self.calibration.temperature,
            "rise": self.calibration.rise,
            "correlation": self.calibration.correlation,
            "before": self.before.to_dict(),
            "constant": self.constant.to_dict() if self.constant else None,
            "after": self.after.to_dict(),
            "signals": {str(count): one.to_dict() for count, one in self.signals.items()},
            "averaged": {str(count): one.to_dict() for count, one in self.averaged.items()},
        }


def calibrate(logits: NDArray[np.float32], labels: NDArray[np.int64], signals: Signals | None) -> CalibrationReport:
    """Fit a temperature and a correlation.

    Both are fitted to everything; what is reported is measured on each half with what was fitted to the other.

    Args:
        logits: Of labelled frames, (n, classes).
        labels: Their true logit, (n,).
        signals: Frames of signals; None leaves the correlation at its default.

    Raises:
        ConfigError: If there are fewer than two frames or a logit is not finite.
    """
    if len(labels) < 2:
        raise ConfigError(f"{len(labels)} frames to calibrate with", allowed="two or more")
    calibration = fit_temperature(logits, labels)
    pooled, averaged = ({}, {}) if signals is None else _pooled(signals, calibration)
    return CalibrationReport(
        calibration if signals is None else fit_correlation(signals, calibration),
        quality(log_softmax(logits), labels),
        _crossed(logits, labels, rising=False),
        _crossed(logits, labels, rising=True),
        pooled,
        averaged,
    )


def _crossed(logits: NDArray[np.float32], labels: NDArray[np.int64], rising: bool) -> Quality:
    """Return the quality with a temperature, each half with the one that was fitted to the other."""
    scaled, wanted, halves = [], [], [slice(0, None, 2), slice(1, None, 2)]
    for fitted, seen in zip(halves, reversed(halves), strict=True):
        other = fit_temperature(logits[fitted], labels[fitted], rising)
        scaled.append(log_softmax(other.scaled(logits[seen])))
        wanted.append(labels[seen])
    return quality(np.concatenate(scaled), np.concatenate(wanted))


def measure(
    calibration: Calibration, logits: NDArray[np.float32], labels: NDArray[np.int64], signals: Signals | None
) -> CalibrationReport:
    """Return what a calibration that was fitted before makes of these frames and signals."""
    pooled = {} if signals is None else {n: quality(*signals.pooled(n, calibration)) for n in signals.frame_counts()}
    return CalibrationReport(
        calibration,
        quality(log_softmax(logits), labels),
        None,
        quality(log_softmax(calibration.scaled(logits)), labels),
        pooled,
        {} if signals is None else _averaged(signals, calibration),
    )


def _pooled(signals: Signals, calibration: Calibration) -> tuple[dict[int, Quality], dict[int, Quality]]:
    halves = [Signals(signals.logits[part::2], signals.labels[part::2]) for part in (0, 1)]
    fitted = [fit_correlation(half, calibration) for half in halves]
    answers = {}
    for count in signals.frame_counts():
        parts = [half.pooled(count, other) for half, other in zip(halves, reversed(fitted), strict=True)]
        answers[count] = quality(*(np.concatenate(both) for both in zip(*parts, strict=True)))
    return answers, _averaged(signals, calibration)


def _averaged(signals: Signals, calibration: Calibration) -> dict[int, Quality]:
    answers = {}
    for count in signals.frame_counts():
        size, most, classes = signals.logits.shape
        rows = signals.logits[:, : most // count * count].reshape(-1, count, classes)
        mean = np.exp(log_softmax(calibration.scaled(rows))).mean(axis=1)
        answers[count] = quality(np.log(np.maximum(mean, 1e-30)), np.repeat(signals.labels, len(rows) // size))
    return answers
