"""What the documents say of the shipped networks, made from their cards: a table, and pictures of them and of runs.

``python -m bacalhaunet_paper.network_pages cards docs`` writes the section of a page and its pictures, which a test
holds to the cards. ``overview docs/images/overview.svg [RUN_DIR]`` draws the package in one picture: a frame goes in, a
small network looks at it, and what it costs for what it is worth. ``curves curves.svg LABEL=RUN_DIR [...]`` draws
accuracy against frames trained, of run folders.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhaunet.cost.of import cost_of
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.shipped_networks import by_accuracy, shipped_networks
from bacalhaunet.outputs import write_text
from bacalhaunet.radio.modulations import by_name
from bacalhaunet.report import published, wording
from bacalhaunet.report.card import group_counts
from bacalhaunet.report.figures_of_runs import SnrCurve, accuracy_over_snr_figure
from bacalhaunet.report.run import load_run
from bacalhaunet.report.score_plane import PlanePoint, draw_plane
from bacalhaunet.report.style import INK, MUTED, SERIES, SETTINGS, new_figure, series, spread, to_svg_file
from bacalhaunet.report.wording import table
from bacalhaunet_paper.budgets import PAPER_FRAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
        if axes.get_xlim()[0] < PAPER_FRAMES / 1e6 < 1.5 * right:
            axes.axvline(PAPER_FRAMES / 1e6, color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)))
            axes.annotate(
                "the paper's", (PAPER_FRAMES / 1e6, low), (-4, 4), ha="right", color=MUTED, textcoords="offset points"
            )
        beside: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
        for height, (_, label, colour) in zip(spread([end[0] for end in ends], (high - low) / 20), ends, strict=True):
            axes.annotate(label, (1.0, height), (6, 0), va="center", color=colour, annotation_clip=False, **beside)
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


def draw_curves(arguments: list[str]) -> None:
    """Write the picture to the first argument from the labelled run folders that follow."""
    pairs = [argument.partition("=") for argument in arguments[1:]]
    curves = [curve_of_run(label, Path(run)) for label, _, run in pairs]
    write_text(arguments[0], to_svg_file(learning_curves(curves), "curves"))
    print(arguments[0])


Card = Mapping[str, Any]

PAGE = "networks.md"
SNR_PICTURE, CURVE_PICTURE = "images/shipped/accuracy-over-snr.svg", "images/shipped/learning-curves.svg"

BEGIN, END = "<!-- made from the cards: begin -->", "<!-- made from the cards: end -->"

_COLUMNS = (
    "name",
    "accuracy, %",
    "95 % interval",
    "score",
    "weights not zero",
    "bytes packed",
    "frames trained",
    "what",
)

_HIGH_COLUMNS = ("from 10 dB on", "all classes, %", "confused ones merged, %", "groups, %", "merged")


def cards() -> list[Card]:
    """Return the cards of the shipped networks in the order of lists."""
    return [network.card for network in by_accuracy(shipped_networks())]


def section(found: Sequence[Card]) -> str:
    """Return the Markdown between the two marks."""
    if not found:
        return "None yet."
    lines = table(_COLUMNS, [_row(card) for card in found])
    for profile in dict.fromkeys(card["profile"] for card in found):
        [first, *_] = [card for card in found if card["profile"] == profile]
        names = ", ".join(f"`{card['name']}`" for card in found if card["profile"] == profile)
        lines += [
            f"{names}: accuracy on the test split of the {profile} profile, {first['frames']:,} frames, "
            f"{first['frames_per_cell']} of each modulation at each of the 26 SNRs from -20 to +30 dB, seed "
            f"{first['test_seed']}, gone through once for each network; the interval is Wilson's.",
            "",
        ]
    lines += [
        "The same test frames from 10 dB on. *Confused ones merged*: classes that the network cannot tell apart where "
        "these SNRs begin, the last column, count as one: of the frames of two of them at 10 and 12 dB that are named "
        "one of the two, more than a third have the wrong name. *Groups*: the coarser answer beside each class, ASK, "
        "PSK, QAM/APSK, AM, SSB, FM or GMSK.",
        "",
        *table(_HIGH_COLUMNS, [_high_row(card) for card in found if "high_snr" in card]),
        f"![Accuracy over SNR of the shipped networks]({SNR_PICTURE})",
        "",
        f"![Validation accuracy of the shipped networks over frames trained]({CURVE_PICTURE})",
    ]
    return "\n".join(lines)


def pictures(found: Sequence[Card]) -> dict[str, str]:
    """Return the SVG of each picture by its path; each names the cards it was made from."""
    curves = [
        SnrCurve(
            card["name"] + ("" if card["profile"] == "twin" else f" (on {card['profile']})"),
            {int(snr): value for snr, value in card["accuracy_by_snr"].items()},
            {int(snr): (bounds[0], bounds[1]) for snr, bounds in card["interval_by_snr"].items()},
        )
        for card in found
    ]
    paper = [SnrCurve("VGG10, published", published.accuracy_by_snr("VGG10"))]
    trained = [Curve(card["name"], card["training"]["curve"]) for card in found]
    return {
        SNR_PICTURE: _marked(to_svg_file(accuracy_over_snr_figure(curves, paper), "snr"), found),
        CURVE_PICTURE: _marked(to_svg_file(learning_curves(trained), "curves"), found),
    }


def mark(found: Sequence[Card]) -> str:
    """Return the comment that a picture made from these cards carries."""
    drawn = [[card["name"], card["accuracy_by_snr"], card["training"]["curve"]] for card in found]
    return f"<!-- cards {hashlib.sha256(json.dumps(drawn).encode()).hexdigest()} -->"


def written(page: str, found: Sequence[Card]) -> str:
    """Return a page with the part between the marks made again."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{section(found)}\n\n{END}{rest.split(END)[1]}"


def _row(card: Card) -> list[str]:
    return [
        f"`{card['name']}`",
        f"{100 * card['accuracy']:.2f}",
        wording.short_interval((card["interval"][0], card["interval"][1])),
        wording.score(card["score"]),
        f"{card['nonzero_weights']:,} of {card['weights']:,}",
        f"{card['bytes']['weights']:,}",
        f"{card['training']['frames_seen'] / 1e6:.1f} million",
        card["summary"],
    ]


def _high_row(card: Card) -> list[str]:
    high = card["high_snr"]
    right, frames = group_counts(card)
    merged = ", ".join("/".join(members) for members in high["merged"])
    shares = (high["accuracy"], high["merged_accuracy"], right / frames)
    return [f"`{card['name']}`", *(f"{100 * share:.1f}" for share in shares), merged]


def _marked(svg: str, found: Sequence[Card]) -> str:
    return f"{svg.rstrip()}\n{mark(found)}\n"


def main(arguments: list[str]) -> None:
    """Write the section of the page and the pictures into the documents' folder, the first argument."""
    folder, found = Path(arguments[0]), cards()
    page = folder / PAGE
    write_text(page, written(page.read_text(encoding="utf-8"), found))
    for path, svg in pictures(found).items() if found else ():
        write_text(folder / path, svg)
    print(f"{page}: {len(found)} networks")


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


def draw_overview(arguments: list[str]) -> None:
    """Write the picture to the first argument, with the path of the run folder in the second if there is one."""
    output = Path(arguments[0])
    run = Path(arguments[1]) if len(arguments) > 1 else None
    write_text(output, to_svg_file(overview(run), "overview"))
    print(output)


if __name__ == "__main__":
    {"overview": draw_overview, "curves": draw_curves, "cards": main}[sys.argv[1]](sys.argv[2:])
