"""Figures of runs: accuracy over SNR with 95 % intervals, by class, over frames trained, and what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.data.evaluation import wilson_interval
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.report import published, wording
from bacalhaunet.report.run import Run, RunStep, StepEvaluation
from bacalhaunet.report.run_record import CurveRecord
from bacalhaunet.report.score_plane import PlanePoint, score_plane
from bacalhaunet.report.style import GRID, INK, MUTED, ON_SERIES, SERIES, new_figure, panels, series, spread, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bacalhaunet.data.evaluation import Evaluation


@dataclass(frozen=True)
class SnrCurve:
    """One curve: accuracy (0 to 1) by SNR label in dB, and its interval where known."""

    label: str
    accuracy: Mapping[int, float]
    interval: Mapping[int, tuple[float, float]] = field(default_factory=dict)


def accuracy_over_snr(curves: Sequence[SnrCurve], published: Sequence[SnrCurve], name: str = "snr") -> str:
    """Return the figure as SVG for a page. Published curves are grey and dashed.

    Args:
        curves: Our curves, each with at least one SNR.
        published: Curves to compare with.
        name: Prefix of the ids.
    """
    with new_figure(7.4, 3.9) as (figure, axes):
        _draw(axes, curves, published)
        labels = [curve.label for curve in (*curves, *published)]
        return to_svg(figure, name, f"Accuracy over SNR of {', '.join(labels)}")


def accuracy_over_snr_figure(curves: Sequence[SnrCurve], published: Sequence[SnrCurve]) -> Figure:
    """Return the same as a matplotlib figure, for files of their own."""
    with new_figure(8.6, 4.6) as (figure, axes):
        _draw(axes, curves, published, gap=4.6)
        return figure


def _draw(axes: Axes, curves: Sequence[SnrCurve], published: Sequence[SnrCurve], gap: float = 5.6) -> None:
    """Draw the curves; their labels at the right are ``gap`` points of accuracy apart or more."""
    ends: list[tuple[float, str, str]] = []
    right = 0
    for index, (curve, grey) in enumerate([(c, False) for c in curves] + [(c, True) for c in published]):
        colour = MUTED if grey else series(index)
        snrs = sorted(curve.accuracy)
        values = [100 * curve.accuracy[snr] for snr in snrs]
        axes.plot(snrs, values, color=colour, linewidth=1.4 if grey else 2, linestyle=(0, (4, 3)) if grey else "-")
        if curve.interval:
            low, high = ([100 * curve.interval[snr][side] for snr in snrs] for side in (0, 1))
            axes.fill_between(snrs, low, high, color=colour, alpha=0.16, linewidth=0)
        ends.append((values[-1], curve.label, colour))
        right = max(right, snrs[-1])
    for height, (_, label, colour) in zip(spread([end[0] for end in ends], gap), ends, strict=True):
        place = (right, height)
        axes.annotate(
            label, place, (8, 0), textcoords="offset points", color=colour, va="center", annotation_clip=False
        )
    axes.set(ylim=(0, 100), ylabel="accuracy, %", xlabel="SNR label, dB")
    axes.set_xlim(right=right)


def by_modulation(first: Mapping[str, float], last: Mapping[str, float], labels: tuple[str, str], name: str) -> str:
    """Return the figure as SVG for a page: one row a modulation, the first network hollow, the last one filled.

    Args:
        first: Accuracy (0 to 1) by modulation of the first network; empty draws the last alone.
        last: Accuracy by modulation of the last network.
        labels: What the two networks are.
        name: Prefix of the ids.
    """
    rows = sorted(last, key=lambda modulation: last[modulation])
    with new_figure(7.4, 0.4 + 0.21 * len(rows), grid=False) as (figure, axes):
        for height, modulation in enumerate(rows):
            axes.plot([0, 100], [height, height], color=GRID, linewidth=0.8)
            if modulation in first:
                ends = [100 * first[modulation], 100 * last[modulation]]
                axes.plot(ends, [height, height], color=MUTED, linewidth=1.4)
                axes.plot(
                    ends[0], height, "o", markersize=5, markerfacecolor=GRID, markeredgecolor=MUTED, clip_on=False
                )
            axes.plot(100 * last[modulation], height, "o", markersize=6, color=SERIES[0], clip_on=False)
            axes.text(103, height, f"{100 * last[modulation]:.0f}", color=INK, fontsize=8, va="center")
        axes.set_yticks(range(len(rows)), rows, fontsize=8.5)
        axes.set(xlim=(0, 100), ylim=(-0.7, len(rows) - 0.3), xlabel="accuracy, %")
        axes.spines["left"].set_visible(False)
        return to_svg(figure, name, f"Accuracy by modulation: {labels[0]} and {labels[1]}")


def row_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row divided by its sum; rows without frames stay zero."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(counts / np.maximum(totals, 1), np.float64)


def confusion_matrix(counts: NDArray[np.int64], names: Sequence[str], name: str, title: str) -> str:
    """Return the figure as SVG for a page.

    One hue from transparent to full says the share, so that it reads on light and dark pages.

    Args:
        counts: Frames by true class (rows) and predicted class (columns).
        names: Class names.
        name: Prefix of the ids.
        title: What the matrix is about.
    """
    with new_figure(7.4, 6.9, grid=False) as (figure, axes):
        _draw_confusion(axes, row_shares(counts), names)
        return to_svg(figure, name, f"Confusion matrix, {title}")


def evaluation_figure(evaluation: Evaluation, title: str) -> Figure:
    """Return the figure of an evaluation: accuracy over SNR, where SNRs are known, and the confusion matrix.

    Args:
        evaluation: Of any classes, one or more.
        title: What was evaluated.
    """
    low, high = evaluation.interval
    said = (
        f"{100 * evaluation.accuracy:.2f} % of {evaluation.frames:,} frames; 95 %: {100 * low:.2f} to {100 * high:.2f}"
    )
    side = min(6.9, 2.6 + 0.2 * len(evaluation.names))
    over_snr = len(evaluation.accuracy_by_snr) > 1
    with panels((side + 5.2) if over_snr else side + 0.6, side, [""] * (1 + over_snr), grid=False) as (figure, made):
        figure.suptitle(f"{title}\n{said}", x=0.01, ha="left", fontsize=10, color=INK)
        if over_snr:
            made[0].grid(axis="y")
            _draw(made[0], [SnrCurve("", evaluation.accuracy_by_snr, _snr_intervals(evaluation))], ())
        _draw_confusion(made[-1], row_shares(evaluation.confusion), evaluation.names)
        return figure


def _snr_intervals(evaluation: Evaluation) -> dict[int, tuple[float, float]]:
    tables = [evaluation.confusion_at(snr) for snr in evaluation.accuracy_by_snr]
    bounds = [wilson_interval(int(np.trace(table)), int(table.sum())) for table in tables]
    return dict(zip(evaluation.accuracy_by_snr, bounds, strict=True))


def _draw_confusion(axes: Axes, shares: NDArray[np.float64], names: Sequence[str]) -> None:
    """Draw the shares of each true class (rows), as a number where it is a tenth or more."""
    size = len(names)
    _cells(axes, shares)
    for row, column in np.argwhere(shares >= 0.1):
        share = float(shares[row, column])
        colour = ON_SERIES if share >= 0.55 else INK
        place = (column + 0.5, row + 0.52)
        axes.text(*place, f"{100 * share:.0f}", color=colour, fontsize=6.5, ha="center", va="center")
    axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal", ylabel="true", xlabel="answered")
    axes.set_xticks(np.arange(size) + 0.5, names, rotation=90, fontsize=8)
    axes.set_yticks(np.arange(size) + 0.5, names, fontsize=8)
    axes.tick_params(length=0, colors=MUTED)
    axes.spines[:].set_visible(False)


def _cells(axes: Axes, shares: NDArray[np.float64]) -> None:
    """Fill a square for each share that can be seen, and draw the lines between them."""
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import to_rgba

    rows, columns = np.nonzero(shares >= 0.005)
    colours = [to_rgba(SERIES[0], float(shares[cell]) ** 0.8) for cell in zip(rows, columns, strict=True)]
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    squares = np.stack([columns, rows], axis=1)[:, None, :] + corners
    axes.add_collection(PolyCollection(list(squares), facecolors=colours, linewidths=0))
    size = len(shares)
    lines = [[(0, k), (size, k)] for k in range(size + 1)] + [[(k, 0), (k, size)] for k in range(size + 1)]
    axes.add_collection(LineCollection(lines, colors=GRID, linewidths=0.5))


def learning_curve(points: Sequence[CurveRecord], name: str = "curve") -> str:
    """Return the figure as SVG for a page.

    Args:
        points: At least one validation, in any order.
        name: Prefix of the ids.
    """
    ordered = sorted(points, key=lambda point: point.frames)
    frames, values = [p.frames for p in ordered], [100 * p.validation_accuracy for p in ordered]
    unit, per = ("million frames", 1e6) if frames[-1] >= 1e6 else ("thousand frames", 1e3)
    with new_figure(7.4, 2.7) as (figure, axes):
        axes.plot([count / per for count in frames], values, color=SERIES[0], marker="o", markersize=3.5)
        axes.annotate(
            f"{values[-1]:.1f} %",
            (frames[-1] / per, values[-1]),
            (7, 0),
            textcoords="offset points",
            va="center",
            color=SERIES[0],
        )
        axes.set(xlabel=f"{unit} seen", ylabel="validation accuracy, %")
        axes.set_xlim(0, max(frames[-1] / per, 1e-9) * 1.08)
        axes.set_ylim(0, max(10.0, 1.18 * max(values)))
        return to_svg(figure, name, f"Validation accuracy ends at {values[-1]:.1f} % after {frames[-1]} frames")


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
