"""The path of a compression as a picture: accuracy over score, beside the published networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bacalhaunet.compression.path import PathStep
from bacalhaunet.data.evaluation import wilson_interval
from bacalhaunet.outputs import write_text
from bacalhaunet.report import published
from bacalhaunet.report.figures.score_plane import PlanePoint, place_labels, score_plane_figure
from bacalhaunet.report.figures.style import to_svg_file

PICTURE_FILE = "path.svg"


def draw_path(steps: Sequence[PathStep], folder: Path) -> Path:
    """Draw the steps that were kept into ``path.svg`` of a folder, and return the file."""
    kept = [step for step in steps if step.kept and step.name != "norms"]
    points = [PlanePoint("", step.score, step.accuracy, _interval(step)) for step in kept]
    figure = score_plane_figure(points)
    axes = figure.axes[0]
    path = [(point.score, 100 * point.accuracy) for point in points]
    intervals = [[(step.score, 100 * bound) for bound in _interval(step)] for step in kept]
    least = 100 * published.baseline().accuracy_at_least
    labels = [(step.title, *place) for step, place in zip(kept, path, strict=True)]
    drawn = [[place] for line in axes.lines for place in np.asarray(line.get_xydata()).tolist()]
    place_labels(axes, labels, [path, *intervals, [(score, least) for score in axes.get_xlim()], *drawn])
    write_text(folder / PICTURE_FILE, to_svg_file(figure, "path"))
    return folder / PICTURE_FILE


def _interval(step: PathStep) -> tuple[float, float]:
    return wilson_interval(round(step.accuracy * step.validation_frames), step.validation_frames)
