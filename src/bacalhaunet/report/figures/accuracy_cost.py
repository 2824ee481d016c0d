"""Accuracy against cost in two panels, ours and the paper's, each with its own accuracy axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bacalhaunet.report.figures.label_places import place_labels
from bacalhaunet.report.figures.panels import panels
from bacalhaunet.report.figures.style import MUTED, SERIES, to_svg_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class CostPoint:
    """A network in the plane.

    Attributes:
        label: What stands beside it, short.
        score: The score.
        accuracy: 0 to 1.
        interval: Of the accuracy, where known.
    """

    label: str
    score: float
    accuracy: float
    interval: tuple[float, float] | None = None


def accuracy_cost(
    name: str,
    ours: Sequence[CostPoint],
    paper: Sequence[CostPoint],
    *,
    title: str = "ours",
    joined: bool = False,
    logarithmic: bool = False,
) -> str:
    """Return the figure as the text of an SVG file.

    Args:
        name: Prefix of its ids.
        ours: Our networks.
        paper: The published ones; the panel is left out if there are none.
        title: Heading of our panel.
        joined: Whether a line joins our points in their order.
        logarithmic: Whether the score axis is logarithmic.
    """
    titles = [title, "the paper's, on the real data"][: 2 if paper else 1]
    limits = _limits([point.score for point in (*ours, *paper)], logarithmic)
    with panels(9.2 if paper else 6.4, 4.0, titles) as (figure, made):
        for axes in made:
            axes.set_xlim(*limits)
            axes.set_xlabel("inference cost score" + ", logarithmic" * logarithmic)
            if logarithmic:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        _draw(made[0], ours, SERIES[0], joined)
        if paper:
            _draw(made[1], paper, MUTED, joined)
        made[0].set_ylabel("accuracy, %")
        return to_svg_file(figure, name)


def _draw(axes: Axes, points: Sequence[CostPoint], colour: str, joined: bool) -> None:
    scores, values = [p.score for p in points], [100 * p.accuracy for p in points]
    if joined:
        axes.plot(scores, values, color=colour, linewidth=1.2)
    for point in points:
        if point.interval:
            axes.plot([point.score] * 2, [100 * bound for bound in point.interval], color=colour, linewidth=1.2)
    axes.plot(scores, values, "o", color=colour, markersize=5)
    low, high = min(values), max(values)
    room = max(0.22 * (high - low), 0.6)
    bounds = [100 * bound for point in points if point.interval for bound in point.interval]
    axes.set_ylim(min([low - room, *bounds]), max([high + room, *bounds]))
    lines = [[(p.score, 100 * bound) for bound in p.interval] for p in points if p.interval]
    lines += [list(zip(scores, values, strict=True))] * joined
    place_labels(axes, [(p.label, p.score, 100 * p.accuracy) for p in points], lines)


def _limits(scores: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    low, high = min(scores), max(scores)
    if logarithmic:
        return low / 2, high * 2
    room = max(0.12 * (high - low), 0.02 * high)
    return low - room, high + room
