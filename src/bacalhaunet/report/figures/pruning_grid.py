"""Pruning iterations in the accuracy-score plane: the selected path, the neighbours explored, and slimming."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bacalhaunet.report.figures.accuracy_cost import CostPoint
from bacalhaunet.report.figures.panels import panels
from bacalhaunet.report.figures.style import INK, MUTED, SERIES, spread, to_svg_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pruning_grid(
    name: str,
    neighbours: Sequence[Sequence[CostPoint]],
    path: Sequence[CostPoint],
    published_settings: Sequence[CostPoint],
    slimming: Sequence[CostPoint],
    paper: Sequence[CostPoint],
) -> str:
    """Return the figure as the text of an SVG file.

    Args:
        name: Prefix of its ids.
        neighbours: For each iteration, the networks explored and not selected, on validation frames.
        path: The unpruned network and the selected ones, on validation frames.
        published_settings: The same with the report's lambda and epsilon.
        slimming: Networks without whole channels, on validation frames.
        paper: The report's path.
    """
    titles = ("ours, on validation frames", "the paper's, on the real data")
    with panels(10.4, 4.6, titles) as (figure, made):
        ours, theirs = made
        for iteration, points in enumerate(neighbours):
            ours.plot(*_places(points), "o^s"[iteration % 3], color=SERIES[0], markersize=4, alpha=0.35, linewidth=0)
        lines = [(path, SERIES[0], "selected path"), (published_settings, SERIES[1], "the report's λ and ε")]
        lines.append((slimming, SERIES[2], "slimming: channels"))
        _lines(ours, [line for line in lines if line[0]])
        theirs.plot(*_places(paper), "o-", color=MUTED, markersize=5, linewidth=1.4)
        for point in paper:
            where = (point.score, 100 * point.accuracy)
            theirs.annotate(point.label, where, (7, -11), textcoords="offset points", color=INK, fontsize=8)
        for axes in made:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.xaxis.set_minor_formatter(lambda value, _: "")
            axes.set_xlabel("inference cost score, logarithmic")
            axes.margins(x=0.22, y=0.15)
        ours.set_ylabel("accuracy, %")
        return to_svg_file(figure, name)


def _places(points: Sequence[CostPoint]) -> tuple[list[float], list[float]]:
    return [p.score for p in points], [100 * p.accuracy for p in points]


def _lines(axes: Axes, lines: Sequence[tuple[Sequence[CostPoint], str, str]]) -> None:
    for points, colour, _ in lines:
        axes.plot(*_places(points), "o-", color=colour, markersize=5, linewidth=1.5)
    low, high = axes.get_ylim()
    heights = spread([100 * points[-1].accuracy for points, _, _ in lines], 0.06 * (high - low))
    for (points, colour, label), height in zip(lines, heights, strict=True):
        where = (points[-1].score, height)
        axes.annotate(label, where, (-9, 0), textcoords="offset points", ha="right", va="center", color=colour)
