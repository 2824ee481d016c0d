"""Pruning iterations in the accuracy-score plane: the selected path, the neighbours explored, and slimming."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bacalhaunet.report.figures.accuracy_cost import CostPoint
from bacalhaunet.report.figures.label_places import place_labels
from bacalhaunet.report.figures.panels import panels
from bacalhaunet.report.figures.style import MUTED, SERIES, to_svg_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


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
    with panels(9.6, 4.9, titles) as (figure, made):
        ours, theirs = made
        for iteration, points in enumerate(neighbours):
            label = f"explored, iteration {iteration + 1}"
            ours.plot(*_places(points), "o^s"[iteration % 3], color=MUTED, markersize=4.5, alpha=0.6, label=label)
        lines = (("selected path", path), ("the report's λ and ε", published_settings), ("slimming", slimming))
        for number, (label, points) in enumerate(lines):
            ours.plot(*_places(points), "o-", color=SERIES[number], markersize=5, linewidth=1.5, label=label)
        theirs.plot(*_places(paper), "o-", color=MUTED, markersize=5, linewidth=1.4)
        for axes in made:
            _finish(axes)
        figure.legend(*ours.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3)
        ours.set_ylabel("accuracy, %")
        spots = [(point.label, point.score, 100 * point.accuracy) for point in paper]
        place_labels(theirs, spots, [[(x, y) for _, x, y in spots]])
        return to_svg_file(figure, name)


def _places(points: Sequence[CostPoint]) -> tuple[list[float], list[float]]:
    return [p.score for p in points], [100 * p.accuracy for p in points]


def _finish(axes: Axes) -> None:
    """Label the score axis with numbers people read."""
    axes.set_xscale("log")
    axes.margins(x=0.15, y=0.15)
    low, high = axes.get_xlim()
    shown = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("inference cost score, logarithmic")
