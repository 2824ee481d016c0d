"""Validation accuracy against training frames seen."""

from __future__ import annotations

from collections.abc import Sequence

from bacalhaunet.report.figures.style import SERIES, new_figure, to_svg
from bacalhaunet.report.run_record import CurveRecord


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
