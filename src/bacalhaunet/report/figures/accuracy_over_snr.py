"""Accuracy over SNR of several networks, with 95 % intervals, beside a published curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bacalhaunet.report.figures.style import MUTED, new_figure, series, spread, to_svg


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
        for height, (_, label, colour) in zip(spread([end[0] for end in ends], 5.6), ends, strict=True):
            axes.annotate(
                label,
                (right, height),
                (8, 0),
                textcoords="offset points",
                color=colour,
                va="center",
                annotation_clip=False,
            )
        axes.set(ylim=(0, 100), ylabel="frames named rightly, %", xlabel="SNR label, dB")
        axes.set_xlim(right=right)
        return to_svg(figure, name, f"Accuracy over SNR of {', '.join(end[1] for end in ends)}")
