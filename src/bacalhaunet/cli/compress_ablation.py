"""The picture of an ablation: accuracy with its interval for each ingredient left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bacalhaunet.classify.evaluation import wilson_interval
from bacalhaunet.outputs import write_text
from bacalhaunet.report.figures.style import INK, MUTED, SERIES, new_figure, to_svg_file
from bacalhaunet_paper.ablation import WHOLE, AblationRow

ABLATION_PICTURE = "ablation.svg"


def draw_ablation(rows: Sequence[AblationRow], folder: Path) -> Path:
    """Draw the rows into ``ablation.svg`` of a folder, and return the file."""
    with new_figure(7.4, 0.9 + 0.38 * len(rows), grid=False) as (figure, axes):
        axes.axvline(100 * rows[0].accuracy, color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)))
        for place, row in enumerate(reversed(rows)):
            low, high = wilson_interval(round(row.accuracy * row.validation_frames), row.validation_frames)
            axes.plot([100 * low, 100 * high], [place] * 2, color=SERIES[0], linewidth=1.4)
            axes.plot(100 * row.accuracy, place, "o", color=INK if row.name == WHOLE else SERIES[0], markersize=6)
        titles = ["nothing left out" if row.name == WHOLE else row.title for row in reversed(rows)]
        axes.set_yticks(range(len(rows)), titles)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(f"validation accuracy, %\nscores up to {max(row.score for row in rows):.3g}")
        write_text(folder / ABLATION_PICTURE, to_svg_file(figure, "ablation"))
    return folder / ABLATION_PICTURE
