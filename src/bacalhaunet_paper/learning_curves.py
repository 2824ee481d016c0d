"""Accuracy against frames trained, of several networks: what more training bought, and would buy.

Draw the curves of run folders with
``python -m bacalhaunet_paper.learning_curves curves.svg LABEL=RUN_DIR [LABEL=RUN_DIR ...]``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import write_text
from bacalhaunet.report.figures.style import MUTED, new_figure, series, spread, to_svg_file
from bacalhaunet_paper.budgets import PAPER_FRAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """The validations of a network in order: training frames seen so far, all stages counted, and accuracy (0 to 1)."""

    label: str
    points: Sequence[tuple[int, float]]


def learning_curves(curves: Sequence[Curve]) -> Figure:
    """Return the figure: validation accuracy over training frames, both as they were at each validation.

    Args:
        curves: Each with at least one point; points before the first frame are left out of the logarithmic axis. What
            a network shares with one before it in the list, since it was trained on from there, is drawn once.
    """
    with new_figure(8.6, 4.4) as (figure, axes):
        axes.set_xscale("log")
        ends = []
        for index, curve in enumerate(curves):
            own = own_part(curve, curves[:index])
            points = [(frames / 1e6, 100 * accuracy) for frames, accuracy in own if frames > 0]
            axes.plot(*zip(*points, strict=True), color=series(index), marker="o", markersize=2.5, linewidth=1.6)
            ends.append((points[-1][1], curve.label, series(index)))
        right = max(frames for curve in curves for frames, _ in curve.points) / 1e6
        low, high = axes.get_ylim()
        for height, (_, label, colour) in zip(spread([end[0] for end in ends], (high - low) / 20), ends, strict=True):
            text = axes.annotate(label, (right, height), (10, 0), textcoords="offset points", va="center", color=colour)
            text.set_annotation_clip(False)
        if axes.get_xlim()[0] < PAPER_FRAMES / 1e6 < 1.5 * right:
            axes.axvline(PAPER_FRAMES / 1e6, color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)))
            axes.annotate(
                "the paper's", (PAPER_FRAMES / 1e6, low), (-4, 4), ha="right", color=MUTED, textcoords="offset points"
            )
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel="million frames trained, logarithmic", ylabel="validation accuracy, %")
        return figure


def own_part(curve: Curve, others: Sequence[Curve]) -> Sequence[tuple[int, float]]:
    """Return a curve from the last point on that it shares with one of the others; whole if it shares none."""
    shared = 0
    for other in others:
        pairs = zip(curve.points, other.points, strict=False)
        shared = max(shared, sum(1 for _ in takewhile(lambda pair: tuple(pair[0]) == tuple(pair[1]), pairs)))
    return curve.points[max(shared - 1, 0) :]


def curve_of_run(label: str, run: Path) -> Curve:
    """Return the curve of a run folder, the stages before it included.

    A run that is still going on has its own validations alone, as ``curve.json`` has them.

    Raises:
        ConfigError: If the folder has neither a model nor a curve.
    """
    model = run / "model.safetensors"
    if model.is_file():
        from bacalhaunet.training.history import history_of

        found, before = [], 0
        for stage in history_of(model):
            found += [(before + int(frames), float(accuracy)) for frames, accuracy in stage["curve"]]
            before += int(stage["frames"])
        return Curve(label, found)
    if not (run / "curve.json").is_file():
        raise ConfigError("the folder has no learning curve", where=str(run), allowed="the folder of a training run")
    points = json.loads((run / "curve.json").read_text(encoding="utf-8"))
    return Curve(label, [(int(point["frames"]), float(point["validation_accuracy"])) for point in points])


def main(arguments: list[str]) -> None:
    """Write the picture to the first argument from the labelled run folders that follow."""
    pairs = [argument.partition("=") for argument in arguments[1:]]
    curves = [curve_of_run(label, Path(run)) for label, _, run in pairs]
    write_text(arguments[0], to_svg_file(learning_curves(curves), "curves"))
    print(arguments[0])
