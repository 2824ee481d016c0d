"""Accuracy against bits: trained with quantization and rounded after training; the paper's in a panel of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bacalhaunet.report.figures.panels import panels
from bacalhaunet.report.figures.style import MUTED, SERIES, to_svg_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
            _draw(left, representations, line, SERIES[number], label)
        _draw(right, representations, paper, MUTED, "trained with bits")
        left.legend(frameon=False, loc="lower left")
        for axes in (left, right):
            axes.set_xticks(range(len(representations)), list(representations))
            axes.set_xlim(-0.4, len(representations) - 0.6)
            axes.margins(y=0.2)
        left.set_ylabel("accuracy, %")
        return to_svg_file(figure, name)


def _draw(axes: Axes, representations: Sequence[str], line: Line, colour: str, label: str) -> None:
    places = [place for place, name in enumerate(representations) if name in line]
    for place in places:
        interval = line[representations[place]][1]
        if interval:
            axes.plot([place] * 2, [100 * bound for bound in interval], color=colour, linewidth=1.2)
    values = [100 * line[representations[place]][0] for place in places]
    axes.plot(places, values, "o-", color=colour, markersize=5, linewidth=1.6, label=label)
