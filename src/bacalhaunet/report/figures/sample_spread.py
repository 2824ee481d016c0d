"""The spread of samples of each class: quantiles of I and Q together, one row a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bacalhaunet.report.figures.panels import panels
from bacalhaunet.report.figures.style import GRID, INK, MUTED, SERIES, to_svg_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
