"""The front of a search in the accuracy-score plane, beside the published points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bacalhaunet.report.figures.score_plane import PlanePoint, draw_plane
from bacalhaunet.report.figures.style import MUTED, SERIES, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
