"""Accuracy of each modulation, sorted, before and after compression."""

from __future__ import annotations

from collections.abc import Mapping

from bacalhaunet.report.figures.style import GRID, INK, MUTED, SERIES, new_figure, to_svg


def by_modulation(first: Mapping[str, float], last: Mapping[str, float], labels: tuple[str, str], name: str) -> str:
    """Return the figure as SVG for a page: one row a modulation, the first network hollow, the last one filled.

    Args:
        first: Accuracy (0 to 1) by modulation of the first network; empty draws the last alone.
        last: Accuracy by modulation of the last network.
        labels: What the two networks are.
        name: Prefix of the ids.
    """
    rows = sorted(last, key=lambda modulation: last[modulation])
    with new_figure(7.4, 0.4 + 0.21 * len(rows), grid=False) as (figure, axes):
        for height, modulation in enumerate(rows):
            axes.plot([0, 100], [height, height], color=GRID, linewidth=0.8)
            if modulation in first:
                ends = [100 * first[modulation], 100 * last[modulation]]
                axes.plot(ends, [height, height], color=MUTED, linewidth=1.4)
                axes.plot(
                    ends[0], height, "o", markersize=5, markerfacecolor=GRID, markeredgecolor=MUTED, clip_on=False
                )
            axes.plot(100 * last[modulation], height, "o", markersize=6, color=SERIES[0], clip_on=False)
            axes.text(103, height, f"{100 * last[modulation]:.0f}", color=INK, fontsize=8, va="center")
        axes.set_yticks(range(len(rows)), rows, fontsize=8.5)
        axes.set(xlim=(0, 100), ylim=(-0.7, len(rows) - 0.3), xlabel="frames named rightly, %")
        axes.spines["left"].set_visible(False)
        return to_svg(figure, name, f"Accuracy by modulation: {labels[0]} and {labels[1]}")
