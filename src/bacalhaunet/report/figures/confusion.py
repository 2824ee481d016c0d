"""A confusion matrix: of the frames of each true class, the share answered as each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.report.figures.style import GRID, INK, MUTED, ON_SERIES, SERIES, new_figure, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


def row_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row divided by its sum; rows without frames stay zero."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(counts / np.maximum(totals, 1), np.float64)


def confusion_matrix(counts: NDArray[np.int64], names: Sequence[str], name: str, title: str) -> str:
    """Return the figure as SVG for a page.

    One hue from transparent to full says the share, so that it reads on light and dark pages.

    Args:
        counts: Frames by true class (rows) and predicted class (columns).
        names: Class names.
        name: Prefix of the ids.
        title: What the matrix is about.
    """
    shares = row_shares(counts)
    size = len(names)
    with new_figure(7.4, 6.9, grid=False) as (figure, axes):
        _cells(axes, shares)
        for row, column in np.argwhere(shares >= 0.1):
            share = float(shares[row, column])
            colour = ON_SERIES if share >= 0.55 else INK
            place = (column + 0.5, row + 0.52)
            axes.text(*place, f"{100 * share:.0f}", color=colour, fontsize=6.5, ha="center", va="center")
        axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal", ylabel="true", xlabel="answered")
        axes.set_xticks(np.arange(size) + 0.5, names, rotation=90, fontsize=8)
        axes.set_yticks(np.arange(size) + 0.5, names, fontsize=8)
        axes.tick_params(length=0, colors=MUTED)
        axes.spines[:].set_visible(False)
        return to_svg(figure, name, f"Confusion matrix, {title}")


def _cells(axes: Axes, shares: NDArray[np.float64]) -> None:
    """Fill a square for each share that can be seen, and draw the lines between them."""
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import to_rgba

    rows, columns = np.nonzero(shares >= 0.005)
    colours = [to_rgba(SERIES[0], float(shares[cell]) ** 0.8) for cell in zip(rows, columns, strict=True)]
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    squares = np.stack([columns, rows], axis=1)[:, None, :] + corners
    axes.add_collection(PolyCollection(list(squares), facecolors=colours, linewidths=0))
    size = len(shares)
    lines = [[(0, k), (size, k)] for k in range(size + 1)] + [[(k, 0), (k, size)] for k in range(size + 1)]
    axes.add_collection(LineCollection(lines, colors=GRID, linewidths=0.5))
