"""The package in one picture: a frame goes in, a small network looks at it, and what it costs for what it is worth.

Make it again with ``python -m bacalhaunet_paper.overview docs/images/overview.svg [RUN_DIR]``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bacalhaunet.cost.of import cost_of
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.outputs import write_text
from bacalhaunet.radio.modulations import by_name
from bacalhaunet.report.figures.score_plane import PlanePoint, draw_plane
from bacalhaunet.report.figures.style import INK, MUTED, SERIES, SETTINGS, to_svg_file
from bacalhaunet.report.run import load_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = "8PSK"
SNR_DB, SEED, SAMPLES = 20, 1, 160


def overview(run: Path | None = None) -> Figure:
    """Return the picture: a frame of the twin, the bit operations of each layer, the accuracy-score plane.

    Args:
        run: A run folder whose path is drawn in the plane; None draws the shipped networks beside the published ones.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as NewFigure
    from matplotlib.patheffects import withStroke

    with mpl.rc_context(SETTINGS):
        figure = NewFigure(figsize=(11, 7.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes: dict[str, Axes] = figure.subplot_mosaic([["frame", "layers"], ["plane", "plane"]], height_ratios=[1, 1.5])
        _frame(axes["frame"])
        _layers(axes["layers"])
        draw_plane(axes["plane"], run_points(run) if run else shipped_points(), joined=run is not None)
        axes["plane"].grid(axis="y")
        axes["plane"].set_title("3   What it is worth, and what it costs", loc="left", color=INK, pad=12)
        for label in axes["plane"].texts:
            label.set_path_effects([withStroke(linewidth=3, foreground="#ffffff")])
        return figure


def run_points(folder: Path) -> list[PlanePoint]:
    """Return the steps of a run that have both an accuracy and a score."""
    return [
        PlanePoint(step.record.title, step.cost.score, step.evaluation.accuracy, step.evaluation.interval)
        for step in load_run(folder).steps
        if step.cost and step.evaluation
    ]


def shipped_points() -> list[PlanePoint]:
    """Return the shipped networks that were measured on the twin."""
    cards = [network.card for network in shipped_networks().values()]
    return [
        PlanePoint(card["name"], card["score"], card["accuracy"], (card["interval"][0], card["interval"][1]))
        for card in cards
        if card["profile"] == "twin"
    ]


def _frame(axes: Axes) -> None:
    import torch

    from bacalhaunet.radio.twin import Twin

    label = torch.tensor([by_name(SHOWN).label])
    frame = Twin().frames(label, torch.tensor([SNR_DB]), torch.tensor([0]), seed=SEED)[0].numpy()
    for row, name in enumerate("IQ"):
        axes.plot(frame[row, :SAMPLES], color=SERIES[row], linewidth=1.4)
        axes.annotate(
            name, (SAMPLES - 1, frame[row, SAMPLES - 1]), (6, -3), textcoords="offset points", color=SERIES[row]
        )
    axes.set(xlim=(0, SAMPLES - 1), xlabel=f"sample; the first {SAMPLES} of 1024", yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_title(f"1   A frame of radio ({SHOWN} of the twin, {SNR_DB} dB)", loc="left", color=INK, pad=12)


def _layers(axes: Axes) -> None:
    layers = cost_of("bacalhaunet", bits=6).layers
    heights = list(range(len(layers)))[::-1]
    values = [layer.bit_ops / 1e6 for layer in layers]
    axes.barh(heights, values, height=0.62, color=SERIES[0])
    for height, value, layer in zip(heights, values, layers, strict=True):
        bits = f"{value:.{1 if value >= 0.1 else 2}f}   at {layer.input_bits} × {layer.weight_bits} bits"
        axes.annotate(bits, (value, height), (5, 0), textcoords="offset points", va="center", color=MUTED, fontsize=8.5)
    axes.set_yticks(heights, [layer.name for layer in layers], fontsize=8.5)
    axes.set(xlim=(0, 1.45 * max(values)), xlabel="million bit operations a frame, before pruning")
    axes.spines["left"].set_visible(False)
    axes.set_title("2   A network of a few thousand weights, at 6 bits", loc="left", color=INK, pad=12)


def main(arguments: list[str]) -> None:
    """Write the picture to the first argument, with the path of the run folder in the second if there is one."""
    output = Path(arguments[0])
    run = Path(arguments[1]) if len(arguments) > 1 else None
    write_text(output, to_svg_file(overview(run), "overview"))
    print(output)
