"""The path of a compression as a picture: accuracy over score, beside the published networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bacalhaunet.classify.evaluation import wilson_interval
from bacalhaunet.compression.path import PathStep
from bacalhaunet.outputs import write_text
from bacalhaunet.report.figures.score_plane import PlanePoint, score_plane_figure
from bacalhaunet.report.figures.style import to_svg_file

PICTURE_FILE = "path.svg"


def draw_path(steps: Sequence[PathStep], folder: Path) -> Path:
    """Draw the steps that were kept into ``path.svg`` of a folder, and return the file."""
    points = [_point(step) for step in steps if step.kept and step.name != "norms"]
    write_text(folder / PICTURE_FILE, to_svg_file(score_plane_figure(points), "path"))
    return folder / PICTURE_FILE


def _point(step: PathStep) -> PlanePoint:
    interval = wilson_interval(round(step.accuracy * step.validation_frames), step.validation_frames)
    return PlanePoint(step.title, step.score, step.accuracy, interval)
