"""A network calibrated and what that changes, measured on frames that the fit did not see."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.calibration_fit import (
    Signals,
    expected_calibration_error,
    fit_correlation,
    fit_temperature,
    log_softmax,
    negative_log_likelihood,
)
from bacalhaunet.errors import ConfigError


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
