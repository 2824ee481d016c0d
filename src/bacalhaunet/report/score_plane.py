"""The accuracy-score plane: the path of a compression, or the front of a search, beside the published points.

Labels stand beside their points, each at the one of twelve places where it covers least of other labels, points and
lines. adjustText moves labels step by step from where they begin, by forces: it ends elsewhere with another release or
another font, where these places follow from the points alone, and a picture made again is the same to the byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.report import published
from bacalhaunet.report.style import GRID, INK, MUTED, SERIES, new_figure, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PlanePoint:
    """One of our networks: its score, its accuracy (0 to 1) and the interval of the accuracy where known."""

    label: str
    score: float
    accuracy: float
    interval: tuple[float, float] | None = None


# What published networks are called in the plane. One is left out: AaronNet32++, whose training could see test frames.
_LABELS: dict[str, str] = {
    "VGG10, 8 bits (baseline)": "VGG10 baseline",
    "BacalhauNet, 6 bits, pruned": "winner of 2021",
    "AaronNet32": "AaronNet32",
    "AaronNet48++": "AaronNet48++",
    "AaronNet48+": "AaronNet48+",
    "Feedback magnitude pruning of VGG10, 4 bits": "VGG10, 4 bits",
    "Imperial, 6 bits lowered to 4 and 5": "Imperial",
}


_CROWDED_POINTS = 14
"""Height of the plane in points of accuracy beyond which published labels would cover each other."""

_OURS = 10.0
"""Font size of our labels."""

_NAMED_IN_A_CROWD = ("VGG10 baseline", "winner of 2021")


def score_plane(path: Sequence[PlanePoint], name: str = "plane", *, beside_published: bool = True) -> str:
    """Return the figure as SVG for a page.

    Args:
        path: Our networks in the order they were made; none draws the published points alone.
        name: Prefix of the ids.
        beside_published: Whether the published networks are drawn too: they know RadioML's classes alone.
    """
    with new_figure(7.4, 4.6) as (figure, axes):
        draw_plane(axes, path, beside_published=beside_published)
        steps = "; ".join(f"{p.label}: {100 * p.accuracy:.2f} % at {p.score:.4g}" for p in path)
        return to_svg(
            figure,
            name,
            f"Accuracy over score{' beside the published networks' * beside_published}. {steps}",
            halo=True,
        )


def score_plane_figure(path: Sequence[PlanePoint]) -> Figure:
    """Return the same as a matplotlib figure, for files of their own."""
    from matplotlib.patheffects import withStroke

    with new_figure(8.0, 4.6) as (figure, axes):
        draw_plane(axes, path)
        for label in axes.texts:
            label.set_path_effects([withStroke(linewidth=3, foreground="#ffffff")])
        return figure


def draw_plane(axes: Axes, path: Sequence[PlanePoint], *, joined: bool = True, beside_published: bool = True) -> None:
    """Draw the plane into axes that are already in this style.

    Args:
        axes: Where it is drawn.
        path: Our networks.
        joined: Whether a line joins them in their order.
        beside_published: Whether the published networks are drawn too.
    """
    axes.set_xscale("log")
    accuracies = [point.accuracy for point in path]
    low, high, cheapest, dearest = (0.547, 0.612, 0.012, 1.0) if beside_published else (1.0, 0.0, math.inf, 0.0)
    axes.set_ylim(100 * min([low, *(a - 0.04 for a in accuracies)]), 100 * max([high, *(a + 0.02 for a in accuracies)]))
    scores = [point.score for point in path]
    axes.set_xlim(0.22 * min([cheapest, *scores]), 2.6 * max([dearest, *scores]))
    named = _published(axes) if beside_published else []
    marked = [line for line in axes.lines if line.get_marker() != "None"]
    drawn = [[place] for line in marked for place in np.asarray(line.get_xydata()).tolist()]
    drawn += [np.asarray(line.get_xydata()).tolist() for line in marked if line.get_linestyle() != "None"]
    intervals = [[(p.score, 100 * bound) for bound in p.interval] for p in path if p.interval]
    for interval in intervals:
        axes.plot(*zip(*interval, strict=True), color=SERIES[0], linewidth=1.2)
    places = list(zip(scores, [100 * a for a in accuracies], strict=True))
    if joined:
        axes.plot(*zip(*places, strict=True), color=SERIES[0], linewidth=1.6)
    axes.plot(scores, [100 * a for a in accuracies], "o", color=SERIES[0], markersize=6.5)
    ticks = [tick for tick in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if axes.get_xlim()[0] <= tick]
    axes.set_xticks([tick for tick in ticks if tick <= axes.get_xlim()[1]], minor=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xticks([], minor=True)
    axes.set(xlabel="inference cost score, logarithmic; 1 is the 8-bit VGG10", ylabel="accuracy, %")
    least = 100 * published.baseline().accuracy_at_least
    lines = [places, *intervals, *drawn, [(score, least) for score in axes.get_xlim()] if beside_published else []]
    ours = [(p.label, *place) for p, place in zip(path, places, strict=True) if p.label]
    place_labels(axes, ours, lines, size=_OURS, color=INK if joined else SERIES[0])
    single = set(_LABELS.values()) - set(_NAMED_IN_A_CROWD)
    place_labels(axes, [label for label in named if label[0] not in single], lines, color=MUTED)
    place_labels(axes, [label for label in named if label[0] in single], lines, color=MUTED, optional=True)


def _published(axes: Axes) -> list[tuple[str, float, float]]:
    """Draw the published points and the least accuracy; return the names of points and their places.

    Where they crowd at the top of a tall plane, two of them alone are named.
    """
    low, high = axes.get_ylim()
    least = 100 * published.baseline().accuracy_at_least
    axes.axhline(least, color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)))
    note: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "color": MUTED, "fontsize": 8.5}
    axes.annotate("56 %, the challenge's least", (axes.get_xlim()[1], least), (-2, -11), **note)
    steps = published.pruning_steps()
    axes.plot([s.score for s in steps], [100 * s.accuracy for s in steps], "o-", color=MUTED, markersize=4, linewidth=1)
    named = [("the paper's path", steps[0].score, 100 * steps[0].accuracy), *_unpruned(axes)]
    for point in (*published.networks(), *published.other_entries()):
        if point.label in _LABELS:
            axes.plot(point.score, 100 * point.accuracy, "D", color=MUTED, markersize=4.5)
            named.append((_LABELS[point.label], point.score, 100 * point.accuracy))
    crowded = high - low > _CROWDED_POINTS
    return [label for label in named if label[0] in _NAMED_IN_A_CROWD] if crowded else named


def _unpruned(axes: Axes) -> Iterator[tuple[str, float, float]]:
    """Draw table 3 and figure 4a, hollow: networks before pruning, float ones of table 3 left out."""
    table = [point for point in published.table_3() if point.score < 1]
    for points, text in ((table, "table 3, 8 to 5 bits"), (published.figure_4a(), "figure 4a, float")):
        axes.plot(
            [p.score for p in points],
            [100 * p.accuracy for p in points],
            "o",
            markersize=4,
            markerfacecolor=GRID,
            markeredgecolor=MUTED,
            markeredgewidth=0.8,
        )
        anchor = points[0] if points is table else points[-1]
        yield text, anchor.score, 100 * anchor.accuracy


_TICKS = [digit * 10.0**power for power in range(-6, 3) for digit in (1, 2, 5)]


def search_front_figure(front: Sequence[PlanePoint], others: Sequence[PlanePoint]) -> Figure:
    """Return the picture.

    Args:
        front: Trials no other beats, from the lowest score up; they are joined and labelled as they are named.
        others: The other trials, drawn as small dots. What lies far below the plane is left out.
    """
    from matplotlib.patheffects import withStroke

    with new_figure(8.0, 4.8) as (figure, axes):
        draw_plane(axes, front)
        for label in axes.texts:
            label.set_path_effects([withStroke(linewidth=3, foreground="#ffffff")])
        axes.plot(
            [point.score for point in others],
            [100 * point.accuracy for point in others],
            "o",
            color=SERIES[0],
            alpha=0.35,
            markersize=3.5,
            markeredgewidth=0,
        )
        low, high = axes.get_xlim()
        axes.set_xticks([tick for tick in _TICKS if low <= tick <= high], minor=False)
        axes.set_title(
            "blue: this search, on validation frames; grey: published, on the test part of the real data",
            color=MUTED,
            fontsize=8.5,
            loc="left",
        )
        return figure


Places = NDArray[np.float64]
"""Places (n, 2) in points; of a box the lower left and the upper right corner."""

_SIDES = (
    *((1, 0.6), (-1, 0.6), (1, -0.6), (-1, -0.6), (0, 1), (0, -1), (1, 0), (-1, 0)),
    *((1, 2.1), (-1, 2.1), (1, -2.1), (-1, -2.1)),
)
"""Where a label may stand, the best first: right (1) or left (-1), above (1) or below (-1) of the point; the last four
leave room for another label between, and a line leads from them to the point."""

_NEAR = 8
"""How many of them are beside the point."""

_GAP = 5.0
"""Points between a point and its label."""

_LEADER = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0.0, "shrinkB": 4.0}

_APART = 2.0
"""Points between two places of a line that a label should not cover."""

_MARKER = 16
"""Places of a line that are as bad to cover as a marker."""

_STRANGER = 6.0
"""Places of a line that are as bad to cover as it is to stand as near to another marker as to one's own."""


def place_labels(
    axes: Axes,
    labels: Sequence[tuple[str, float, float]],
    lines: Sequence[Sequence[tuple[float, float]]] = (),
    *,
    size: float = 8.5,
    color: str = INK,
    optional: bool = False,
) -> None:
    """Write labels beside their points, clear of texts that are there. The limits of the axes must be final.

    Args:
        axes: Where they go.
        labels: Text and place in data coordinates.
        lines: Polylines in data coordinates that labels should not cover; intervals are short ones,
            single points are markers.
        size: Font size in points.
        color: Of the texts.
        optional: Whether a label is left out that would cover a line, a marker or another label wherever it stood.
    """
    from matplotlib.text import Text

    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides how large the axes are
    scale = 72 / figure.dpi
    corners = [np.array([(x, y)]) for _, x, y in labels] + [np.array(line, float) for line in lines]
    drawn = [_along(scale * axes.transData.transform(line)) for line in corners if len(line)]
    covered = np.concatenate(drawn) if drawn else np.zeros((0, 2))
    markers = np.concatenate([np.zeros((0, 2)), *[line[:1] for line in drawn if (line == line[0]).all()]])
    frame = scale * np.array([axes.bbox.min, axes.bbox.max])
    # An annotation's own extent would have its line in it too.
    taken: list[Places] = [scale * Text.get_window_extent(t).get_points() for t in axes.texts if t.get_text()]
    for text, x, y in labels:
        place = scale * axes.transData.transform((x, y))
        boxes = [_box(place, side, text, size) for side in _SIDES]
        strangers = [_strangers(box, place, markers) for box in boxes]
        costs = [
            _cost(box, covered, taken, frame) + _STRANGER * strangers[rank] + 0.01 * rank
            for rank, box in enumerate(boxes)
        ]
        rank = int(np.argmin(costs))
        chosen = boxes[rank]
        if optional and min(costs) >= 1:
            continue
        taken.append(chosen)
        offset = chosen.mean(axis=0) - place
        axes.annotate(
            text,
            (x, y),
            tuple(offset),
            textcoords="offset points",
            ha="center",
            va="center",
            color=color,
            fontsize=size,
            arrowprops=_LEADER if rank >= _NEAR or strangers[rank] else None,
        )


def _strangers(box: Places, place: Places, markers: Places) -> int:
    """Return how many other markers are as near to a label as its own point: it would be taken for theirs."""

    def distance(points: Places) -> Places:
        outside = np.maximum(np.maximum(box[0] - points, points - box[1]), 0.0)
        return np.asarray(np.hypot(outside[..., 0], outside[..., 1]))

    other = np.abs(markers - place).max(axis=1) > 1.0
    return int((distance(markers[other]) <= distance(place) + 1.0).sum())


def _along(line: Places) -> Places:
    """Return places along a polyline in points; a single point is a marker, which counts as several of them."""
    if len(line) < 2:
        return np.repeat(line, _MARKER, axis=0)
    parts = []
    for a, b in pairwise(line):
        share = np.linspace(0, 1, 2 + int(np.hypot(*(b - a)) / _APART))[:, None]
        parts.append((1 - share) * a + share * b)
    return np.concatenate(parts)


def _box(place: Places, side: tuple[float, float], text: str, size: float) -> Places:
    """Return the corners (low, high) of a label in points; widths are those of DejaVu Sans, about."""
    half = np.array([0.31 * size * len(text), 0.55 * size])
    centre = place + np.array(side) * (half + _GAP)
    return np.stack([centre - half, centre + half])


def _cost(
    box: Places,
    covered: Places,
    taken: Sequence[Places],
    frame: Places,
) -> float:
    inside = ((covered > box[0] - 2) & (covered < box[1] + 2)).all(axis=1)
    crossed = sum(bool((np.minimum(box[1], other[1]) > np.maximum(box[0], other[0])).all()) for other in taken)
    beyond = bool((box[0] < frame[0]).any() or (box[1] > frame[1]).any())
    return float(inside.sum()) + 60.0 * crossed + 200.0 * beyond
