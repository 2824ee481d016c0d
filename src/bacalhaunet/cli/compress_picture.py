"""The path of a compression as a picture: accuracy over score, beside the published networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bacalhaunet.compression.path import PathStep
from bacalhaunet.data.evaluation import wilson_interval
from bacalhaunet.report.score_plane import PlanePoint, score_plane_figure
from bacalhaunet.report.style import save_figure

PICTURE_FILE = "path.svg"


def draw_path(steps: Sequence[PathStep], folder: Path) -> Path:
    """Draw the steps that were kept into ``path.svg`` of a folder, and return the file."""
    kept = [step for step in steps if step.kept and step.name != "norms"]
    points = [PlanePoint(step.title, step.score, step.accuracy, _interval(step)) for step in kept]
    return save_figure(score_plane_figure(points), folder / PICTURE_FILE, "path")


def _interval(step: PathStep) -> tuple[float, float]:
    return wilson_interval(round(step.accuracy * step.validation_frames), step.validation_frames)
