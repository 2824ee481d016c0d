"""Labels beside points, each where it covers least: other labels, points, lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.report.figures.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Places = NDArray[np.float64]
"""Places (n, 2) in points; of a box the lower left and the upper right corner."""

_SIDES = ((1, 0.6), (-1, 0.6), (1, -0.6), (-1, -0.6), (0, 1), (0, -1), (1, 0), (-1, 0))
"""Where a label may stand, the best first: right (1) or left (-1), above (1) or below (-1) of the point."""

_GAP = 5.0
"""Points between a point and its label."""

_STEPS = 40
"""Places on a line that a label should not cover."""

_MARKER = 8
"""Places of a line that are as bad to cover as a marker."""


def place_labels(
    axes: Axes,
    labels: Sequence[tuple[str, float, float]],
    lines: Sequence[Sequence[tuple[float, float]]] = (),
    *,
    size: float = 8.5,
) -> None:
    """Write labels beside their points, clear of texts that are there. The limits of the axes must be final.

    Args:
        axes: Where they go.
        labels: Text and place in data coordinates.
        lines: Polylines in data coordinates that labels should not cover; intervals are short ones,
            single points are markers.
        size: Font size in points.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides how large the axes are
    scale = 72 / figure.dpi
    obstacles = [np.array([(x, y) for _, x, y in labels])]
    obstacles += [_along(np.array(line, float)) for line in lines]
    covered = scale * axes.transData.transform(np.concatenate(obstacles))
    frame = scale * np.array([axes.bbox.min, axes.bbox.max])
    taken: list[Places] = [scale * text.get_window_extent().get_points() for text in axes.texts if text.get_text()]
    for text, x, y in labels:
        place = scale * axes.transData.transform((x, y))
        boxes = [_box(place, side, text, size) for side in _SIDES]
        costs = [_cost(box, covered, taken, frame) + 0.01 * rank for rank, box in enumerate(boxes)]
        chosen = boxes[int(np.argmin(costs))]
        taken.append(chosen)
        offset = chosen.mean(axis=0) - place
        axes.annotate(
            text, (x, y), tuple(offset), textcoords="offset points", ha="center", va="center", color=INK, fontsize=size
        )


def _along(line: Places) -> Places:
    """Return places along a polyline; a single point is a marker, which counts as several of them."""
    if len(line) < 2:
        return np.repeat(line, _MARKER, axis=0)
    steps = np.linspace(0, 1, _STEPS)[:, None]
    return np.concatenate([(1 - steps) * a + steps * b for a, b in pairwise(line)])


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
