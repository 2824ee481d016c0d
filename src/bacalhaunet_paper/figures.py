"""Figures of the report drawn again: spread of samples, accuracy against cost and against bits, pruning iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bacalhaunet.report.score_plane import place_labels
from bacalhaunet.report.style import GRID, INK, MUTED, SERIES, panels, to_svg_file

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


Line = Mapping[str, tuple[float, tuple[float, float] | None]]
"""Accuracy (0 to 1) and its interval by representation."""


def bit_widths(name: str, representations: Sequence[str], ours: Mapping[str, Line], paper: Line) -> str:
    """Return the figure as the text of an SVG file.

    Args:
        name: Prefix of its ids.
        representations: Places on the horizontal axis from left to right, as ``float32``, ``8 bits``.
        ours: Our accuracies by label of the line.
        paper: The published ones.
    """
    with panels(9.2, 4.0, ["ours", "the paper's, on the real data"]) as (figure, (left, right)):
        for number, (label, line) in enumerate(ours.items()):
            _draw_line(left, representations, line, SERIES[number], label)
        _draw_line(right, representations, paper, MUTED, "trained with bits")
        left.legend(frameon=False, loc="lower left")
        for axes in (left, right):
            axes.set_xticks(range(len(representations)), list(representations))
            axes.set_xlim(-0.4, len(representations) - 0.6)
            axes.margins(y=0.2)
        left.set_ylabel("accuracy, %")
        return to_svg_file(figure, name)


def _draw_line(axes: Axes, representations: Sequence[str], line: Line, colour: str, label: str) -> None:
    places = [place for place, name in enumerate(representations) if name in line]
    for place in places:
        interval = line[representations[place]][1]
        if interval:
            axes.plot([place] * 2, [100 * bound for bound in interval], color=colour, linewidth=1.2)
    values = [100 * line[representations[place]][0] for place in places]
    axes.plot(places, values, "o-", color=colour, markersize=5, linewidth=1.6, label=label)


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


QUANTILES = (0.0, 0.001, 0.25, 0.5, 0.75, 0.999, 1.0)
"""Quantiles of a row: smallest, whisker, box, median, box, whisker, largest."""


def sample_spread(
    name: str, spreads: Mapping[int, Mapping[str, Sequence[float]]], clip: tuple[float, float], widest: float = 9.0
) -> str:
    """Return the figure as the text of an SVG file.

    Args:
        name: Prefix of its ids.
        spreads: For each SNR label in dB, by class, the values of ``QUANTILES``.
        clip: Bounds drawn as a band.
        widest: Values further from 0 are drawn at the edge.
    """
    titles = [f"{snr:+d} dB".replace("-", "−") for snr in spreads]
    with panels(9.2, 6.2, titles, grid=False) as (figure, made):
        for number, (axes, classes) in enumerate(zip(made, spreads.values(), strict=True)):
            axes.axvspan(*clip, color=GRID, zorder=0)
            for place, values in enumerate(classes.values()):
                _row(axes, -place, values, widest)
            axes.set_yticks(
                [-place for place in range(len(classes))], list(classes) if number == 0 else [], fontsize=8.5
            )
            axes.set_ylim(-len(classes) + 0.4, 0.6)
            axes.set_xlim(-widest, widest)
            axes.spines["left"].set_visible(False)
            axes.set_xlabel(f"sample value; shaded: {clip[0]:g} to {clip[1]:g}".replace("-", "−"))
        note = "box: middle half; line: 99.8 % of the samples; dots: smallest and largest, at the edge if beyond it"
        figure.supxlabel(note, color=MUTED, fontsize=8.5)
        return to_svg_file(figure, name)


def _row(axes: Axes, height: float, values: Sequence[float], widest: float) -> None:
    low, whisker_low, box_low, median, box_high, whisker_high, high = (max(-widest, min(widest, v)) for v in values)
    axes.plot([whisker_low, whisker_high], [height] * 2, color=SERIES[0], linewidth=1.0)
    axes.barh(height, box_high - box_low, left=box_low, height=0.55, color=SERIES[0])
    axes.plot([median] * 2, [height - 0.27, height + 0.27], color=INK, linewidth=1.0)
    axes.plot([low, high], [height] * 2, ".", color=SERIES[1], markersize=3.5, clip_on=False)
