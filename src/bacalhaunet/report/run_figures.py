"""The figures of one run, each drawn only where the run measured what it shows."""

from __future__ import annotations

from dataclasses import dataclass

from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.report import published, wording
from bacalhaunet.report.figures.accuracy import (
    SnrCurve,
    accuracy_over_snr,
    by_modulation,
    confusion_matrix,
    learning_curve,
)
from bacalhaunet.report.figures.score_plane import PlanePoint, score_plane
from bacalhaunet.report.run import Run, RunStep, StepEvaluation

CONFUSION_SNRS_DB = (-4, 4, 30)
"""SNR labels whose confusion matrices are drawn where the run kept them; those published for VGG10."""


@dataclass(frozen=True)
class RunFigures:
    """SVG texts; empty where the run has nothing to show.

    Attributes:
        plane: The path of the compression in the accuracy-score plane.
        snr: Accuracy over SNR.
        modulations: Accuracy by modulation.
        confusions: Title and confusion matrix, overall first.
        curve: The learning curve.
    """

    plane: str = ""
    snr: str = ""
    modulations: str = ""
    confusions: tuple[tuple[str, str], ...] = ()
    curve: str = ""


def draw_figures(run: Run) -> RunFigures:
    """Return the figures of a run."""
    steps = run.evaluated
    return RunFigures(
        plane=_plane(run),
        snr=_snr(steps, run.comparable),
        modulations=_modulations(steps),
        confusions=_confusions(steps[-1].evaluation) if steps and steps[-1].evaluation else (),
        curve=learning_curve(run.record.curve) if run.record.curve else "",
    )


def _short_title(step: RunStep) -> str:
    return step.record.title if len(step.record.title) <= 26 else step.record.slug


def _plane(run: Run) -> str:
    points = [
        PlanePoint(_short_title(step), step.cost.score, step.evaluation.accuracy, step.evaluation.interval)
        for step in run.steps
        if step.cost and step.evaluation and step.cost.score > 0
    ]
    return score_plane(points, beside_published=run.comparable) if points else ""


def _snr(steps: tuple[RunStep, ...], comparable: bool) -> str:
    curves = [
        SnrCurve(
            _short_title(step),
            step.evaluation.by_snr,
            {snr: step.evaluation.snr_interval(snr) for snr in step.evaluation.by_snr},
        )
        for step in steps
        if step.evaluation and step.evaluation.by_snr
    ]
    if not curves:
        return ""
    beside = [SnrCurve("VGG10, published", published.accuracy_by_snr("VGG10"))] if comparable else []
    return accuracy_over_snr(curves, beside)


def _modulations(steps: tuple[RunStep, ...]) -> str:
    shown = [
        (step.record.title, step.evaluation.by_modulation)
        for step in steps
        if step.evaluation and step.evaluation.by_modulation
    ]
    if not shown:
        return ""
    (before, first), (after, last) = shown[0], shown[-1]
    return by_modulation(first if len(shown) > 1 else {}, last, (before, after), "modulations")


def _confusions(evaluation: StepEvaluation) -> tuple[tuple[str, str], ...]:
    tables = {"all SNR labels together": evaluation.confusion} | {
        f"{snr:+d}{wording.THIN_SPACE}dB": evaluation.confusion_by_snr[snr]
        for snr in CONFUSION_SNRS_DB
        if snr in evaluation.confusion_by_snr
    }
    names = list(evaluation.by_modulation)
    return tuple(
        (title, confusion_matrix(table, _names(names, len(table)), f"confusion-{index}", title))
        for index, (title, table) in enumerate(tables.items())
        if table.size
    )


def _names(found: list[str], size: int) -> list[str]:
    """Return class names for a table: the evaluation's, else the 24 in label order, else numbers."""
    for names in (found, list(NAMES)):
        if len(names) == size:
            return names
    return [str(label) for label in range(size)]
