"""Accuracy against bits: trained with quantization, rounded after training, and the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bacalhaunet.report.figures.panels import panels
from bacalhaunet.report.figures.style import MUTED, SERIES, spread, to_svg_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = Mapping[str, tuple[float, tuple[float, float] | None]]
"""Accuracy (0 to 1) and its interval by representation."""


def bit_widths(name: str, representations: Sequence[str], lines: Mapping[str, Line]) -> str:
    """Return the figure as the text of an SVG file.

    Args:
        name: Prefix of its ids.
        representations: Places on the horizontal axis from left to right, as ``float32``, ``8 bits``.
        lines: Accuracies by label of the line; the first two are ours, others are drawn in grey.
    """
    with panels(7.4, 4.2, [""]) as (figure, (axes,)):
        ends = []
        for number, (label, line) in enumerate(lines.items()):
            colour = SERIES[number] if number < 2 else MUTED
            ends.append((label, colour, _draw(axes, representations, line, colour)))
        low, high = axes.get_ylim()
        heights = spread([end for _, _, end in ends], 0.055 * (high - low))
        for (label, colour, _), height in zip(ends, heights, strict=True):
            axes.annotate(
                label,
                (len(representations) - 1, height),
                (10, 0),
                textcoords="offset points",
                va="center",
                color=colour,
            )
        axes.set_xticks(range(len(representations)), list(representations))
        axes.set_xlim(-0.3, len(representations) + 0.75)
        axes.set_ylabel("accuracy, %")
        return to_svg_file(figure, name)


def _draw(axes: Axes, representations: Sequence[str], line: Line, colour: str) -> float:
    """Draw one line and return the height it ends at."""
    places = [place for place, name in enumerate(representations) if name in line]
    values = [100 * line[representations[place]][0] for place in places]
    for place in places:
        interval = line[representations[place]][1]
        if interval:
            axes.plot([place] * 2, [100 * bound for bound in interval], color=colour, linewidth=1.2)
    axes.plot(places, values, "o-", color=colour, markersize=5, linewidth=1.6)
    return values[-1]
