"""The path of a compression as a picture: accuracy over score, beside the published networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bacalhaunet.classify.evaluation import wilson_interval
from bacalhaunet.compression.path import PathStep
from bacalhaunet.outputs import write_text
from bacalhaunet.report.figures.score_plane import PlanePoint, score_plane_figure
from bacalhaunet.report.figures.style import INK, to_svg_file

PICTURE_FILE = "path.svg"


def draw_path(steps: Sequence[PathStep], folder: Path) -> Path:
    """Draw the steps that were kept into ``path.svg`` of a folder, and return the file."""
    from matplotlib.patheffects import withStroke

    kept = [step for step in steps if step.kept and step.name != "norms"]
    points = [PlanePoint("", step.score, step.accuracy, _interval(step)) for step in kept]
    figure = score_plane_figure(points)
    axes = figure.axes[0]
    for step in kept:  # above the interval and slanted, where neighbours and published labels leave room
        place, halo = (step.score, 100 * _interval(step)[1]), [withStroke(linewidth=3, foreground="#ffffff")]
        axes.annotate(step.title, place, (2, 3), textcoords="offset points", color=INK, rotation=72, path_effects=halo)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.22 * (high - low))
    write_text(folder / PICTURE_FILE, to_svg_file(figure, "path"))
    return folder / PICTURE_FILE


def _interval(step: PathStep) -> tuple[float, float]:
    return wilson_interval(round(step.accuracy * step.validation_frames), step.validation_frames)
