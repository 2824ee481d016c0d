"""Accuracy over SNR of several networks, with 95 % intervals, beside a published curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bacalhaunet.report.figures.style import MUTED, new_figure, series, spread, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SnrCurve:
    """One curve: accuracy (0 to 1) by SNR label in dB, and its interval where known."""

    label: str
    accuracy: Mapping[int, float]
    interval: Mapping[int, tuple[float, float]] = field(default_factory=dict)


def accuracy_over_snr(curves: Sequence[SnrCurve], published: Sequence[SnrCurve], name: str = "snr") -> str:
    """Return the figure as SVG for a page. Published curves are grey and dashed.

    Args:
        curves: Our curves, each with at least one SNR.
        published: Curves to compare with.
        name: Prefix of the ids.
    """
    with new_figure(7.4, 3.9) as (figure, axes):
        _draw(axes, curves, published)
        labels = [curve.label for curve in (*curves, *published)]
        return to_svg(figure, name, f"Accuracy over SNR of {', '.join(labels)}")


def accuracy_over_snr_figure(curves: Sequence[SnrCurve], published: Sequence[SnrCurve]) -> Figure:
    """Return the same as a matplotlib figure, for files of their own."""
    with new_figure(8.6, 4.6) as (figure, axes):
        _draw(axes, curves, published, gap=4.6)
        return figure


def _draw(axes: Axes, curves: Sequence[SnrCurve], published: Sequence[SnrCurve], gap: float = 5.6) -> None:
    """Draw the curves; their labels at the right are ``gap`` points of accuracy apart or more."""
    ends: list[tuple[float, str, str]] = []
    right = 0
    for index, (curve, grey) in enumerate([(c, False) for c in curves] + [(c, True) for c in published]):
        colour = MUTED if grey else series(index)
        snrs = sorted(curve.accuracy)
        values = [100 * curve.accuracy[snr] for snr in snrs]
        axes.plot(snrs, values, color=colour, linewidth=1.4 if grey else 2, linestyle=(0, (4, 3)) if grey else "-")
        if curve.interval:
            low, high = ([100 * curve.interval[snr][side] for snr in snrs] for side in (0, 1))
            axes.fill_between(snrs, low, high, color=colour, alpha=0.16, linewidth=0)
        ends.append((values[-1], curve.label, colour))
        right = max(right, snrs[-1])
    for height, (_, label, colour) in zip(spread([end[0] for end in ends], gap), ends, strict=True):
        place = (right, height)
        axes.annotate(
            label, place, (8, 0), textcoords="offset points", color=colour, va="center", annotation_clip=False
        )
    axes.set(ylim=(0, 100), ylabel="frames named rightly, %", xlabel="SNR label, dB")
    axes.set_xlim(right=right)
