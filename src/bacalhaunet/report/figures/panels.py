"""Figures of several panels side by side, in the style of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bacalhaunet.report.figures.style import INK, SETTINGS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@contextmanager
def panels(
    width: float, height: float, titles: Sequence[str], *, grid: bool = True
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a figure with one panel for each title, without touching the program's own matplotlib settings.

    Args:
        width: Width in inches.
        height: Height in inches.
        titles: Headings of the panels from left to right.
        grid: Whether horizontal grid lines help to read values.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        made = list(figure.subplots(1, len(titles), squeeze=False)[0])
        for axes, title in zip(made, titles, strict=True):
            axes.set_title(title, loc="left", color=INK, pad=10, fontsize=10)
            if grid:
                axes.grid(axis="y")
        yield figure, made
