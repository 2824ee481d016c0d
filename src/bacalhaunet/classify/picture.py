"""A recording as a picture: its spectrogram with a labelled box about each signal, and the signals' constellations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.regions import BINS, SHORTEST, noise_floor, spectrogram
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.errors import ConfigError, MissingExtraError, how_to_install
from bacalhaunet.outputs import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")
CONSTELLATIONS = 8
"""Signals whose constellations are shown, the longest first."""

_COLOURS = ("#4cc9f0", "#ffb703", "#80ed99", "#ff8fab", "#c8b6ff", "#ffd166", "#8ecae6", "#f4a261")
_COLUMNS = 1400
_WIDTH = 11.0
_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,  # a "$" in a file's name is a "$"
    "svg.fonttype": "none",
    "axes.linewidth": 0.8,
    "axes.edgecolor": "#5f6770",
    "axes.labelcolor": "#3c434a",
    "xtick.color": "#5f6770",
    "ytick.color": "#5f6770",
}


@dataclass(frozen=True)
class Box:
    """A signal in the picture. Frequencies are in cycles a sample.

    Attributes:
        start: First sample.
        stop: The first sample after its end.
        low: Lower edge of the band.
        high: Upper edge.
        label: What is written beside it.
        note: A second line for the constellation.
        points: The constellation, complex (n,); None for none.
    """

    start: int
    stop: int
    low: float
    high: float
    label: str
    note: str = ""
    points: NDArray[np.complex64] | None = None


def check_picture(path: Path, recording: Recording) -> None:
    """Say at once if the picture cannot be.

    Raises:
        ConfigError: If the ending is none of .png, .svg and .pdf, or the recording is too short.
        MissingExtraError: If matplotlib is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"no picture is written as {path.suffix!r}", where=str(path), allowed=", ".join(ENDINGS))
    if len(recording) < SHORTEST:
        raise ConfigError(
            f"a recording of {len(recording)} samples is too short for a spectrogram",
            where=str(recording.path),
            allowed=f"{SHORTEST} samples or more",
        )
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"pictures need the package matplotlib: {how_to_install('pictures')}") from error


def write_picture(path: Path, recording: Recording, boxes: Sequence[Box], title: str) -> None:
    """Draw a recording and write the picture, whole or not at all.

    Args:
        path: .png, .svg or .pdf.
        recording: The recording.
        boxes: Its signals.
        title: One line above.

    Raises:
        ConfigError, MissingExtraError: As of ``check_picture``.
    """
    check_picture(path, recording)
    import matplotlib as mpl

    with mpl.rc_context(_SETTINGS), whole_file(path) as partial:
        picture(recording, boxes, title).savefig(partial, dpi=140)


def picture(recording: Recording, boxes: Sequence[Box], title: str) -> Figure:
    """Return the picture as a figure of matplotlib; arguments and errors as of ``write_picture``."""
    check_picture(Path("picture.png"), recording)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shown = sorted((box for box in boxes if box.points is not None), key=lambda box: box.start - box.stop)
    numbers = sorted(boxes.index(box) for box in shown[:CONSTELLATIONS])
    columns = max(4, min(len(numbers), 6)) if len(numbers) <= 6 else 4
    rows, height = -(-len(numbers) // columns), 0.45 + _WIDTH / columns * 0.9
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH, 4.6 + height * rows), layout="constrained", facecolor="white")
        grid = figure.add_gridspec(1 + rows, columns, height_ratios=[4.6] + [height] * rows)
        _draw_spectrogram(figure, grid[0, :], recording, boxes)
        for place, number in enumerate(numbers):
            _draw_points(figure, grid[1 + place // columns, place % columns], boxes[number], _colour(number))
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, color="#1b1f24")
    return figure


def _draw_spectrogram(figure: Figure, place: Any, recording: Recording, boxes: Sequence[Box]) -> None:
    spectra = spectrogram(recording, 0, len(recording))
    floor = noise_floor(spectra.power, spectra.averages)
    joined = -(-len(spectra.power) // _COLUMNS)
    columns = [spectra.power[k : k + joined].mean(axis=0) for k in range(0, len(spectra.power), joined)]
    levels = 10 * np.log10(np.maximum(np.stack(columns), floor * 1e-3) / floor)
    rate, unit, zero = _units(recording)
    stop = len(spectra.power) * spectra.cell
    axes = figure.add_subplot(place)
    seconds, time_unit = _time_unit(len(recording), recording.sample_rate)
    edge = 0.5 + 0.5 / BINS
    image = axes.imshow(
        levels.T,
        aspect="auto",
        origin="lower",
        cmap="inferno",
        vmin=-3,
        vmax=max(12.0, float(np.percentile(levels, 99.7))),
        extent=(0, stop * seconds, zero - edge * rate, zero + (1 - edge) * rate),
        interpolation="nearest",
        rasterized=True,
    )
    axes.set_xlabel(f"time, {time_unit}")
    axes.set_ylabel(f"frequency, {unit}")
    axes.set_xlim(0, len(recording) * seconds)
    axes.set_ylim(zero - rate / 2, zero + rate / 2)
    figure.colorbar(image, ax=axes, pad=0.01, aspect=35, label="dB above the noise").outline.set_visible(False)
    for number, box in enumerate(boxes):
        _draw_box(axes, box, _colour(number), seconds, rate, zero, len(recording))


def _draw_box(axes: Any, box: Box, colour: str, seconds: float, rate: float, zero: float, count: int) -> None:
    from matplotlib.patches import Rectangle

    low, high = zero + box.low * rate, zero + box.high * rate
    left = box.start * seconds
    size = ((box.stop - box.start) * seconds, high - low)
    axes.add_patch(Rectangle((left, low), *size, fill=False, edgecolor="black", linewidth=2.6, alpha=0.6))
    axes.add_patch(Rectangle((left, low), *size, fill=False, edgecolor=colour, linewidth=1.4))
    inside = box.high > 0.44
    late = box.start > 0.85 * count
    axes.annotate(
        box.label,
        (left + size[0] if late else left, high),
        xytext=(-3 if late else 3, -4 if inside else 4),
        textcoords="offset points",
        ha="right" if late else "left",
        va="top" if inside else "bottom",
        color="white",
        fontsize=9,
        fontweight="bold",
        annotation_clip=True,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "black", "alpha": 0.55, "linewidth": 0},
    )


def _draw_points(figure: Figure, place: Any, box: Box, colour: str) -> None:
    axes = figure.add_subplot(place)
    axes.set_facecolor("#14121f")
    assert box.points is not None
    axes.plot(box.points.real, box.points.imag, ".", color=colour, markersize=2.6, alpha=0.7, rasterized=True)
    farthest = np.maximum(np.abs(box.points.real), np.abs(box.points.imag))
    reach = max(1.6, 1.1 * float(np.percentile(farthest, 99.5)))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(box.label, fontsize=10, color="#1b1f24", fontweight="bold", pad=16)
    axes.text(
        0.5,
        1.03,
        box.note,
        clip_on=False,
        transform=axes.transAxes,
        ha="center",
        va="bottom",
        fontsize=7.5,
        color="#5f6770",
    )
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_color(colour)
        axes.spines[side].set_linewidth(1.6)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _units(recording: Recording) -> tuple[float, str, float]:
    """Return what a cycle a sample is on the frequency axis, its unit, and the frequency in the middle."""
    rate = recording.sample_rate
    if rate is None:
        return 1.0, "cycles a sample", 0.0
    known = [one.frequency for one in recording.captures if one.frequency is not None]
    zero = known[0] if len(set(known)) == 1 else 0.0
    unit, factor = next(
        (unit, factor) for unit, factor in (("MHz", 1e6), ("kHz", 1e3), ("Hz", 1.0)) if rate + abs(zero) >= factor
    )
    return rate / factor, unit, zero / factor


def _time_unit(count: int, rate: float | None) -> tuple[float, str]:
    """Return the length of a sample on the time axis, and its unit."""
    if rate is None:
        return 1.0, "samples"
    length = count / rate
    unit, factor = next((unit, factor) for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 0)) if length >= factor)
    return 1 / rate / (factor or 1e-6), unit
