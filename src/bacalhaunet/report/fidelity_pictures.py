"""The fidelity report as a folder: tables in Markdown, figures in JSON, pictures in SVG and PNG."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.outputs import whole_file, write_text
from bacalhaunet.report.fidelity import Fidelity
from bacalhaunet.report.fidelity_pulse import REACH
from bacalhaunet.report.fidelity_real import RealFrames
from bacalhaunet.report.fidelity_text import markdown, summary
from bacalhaunet.report.source_picture import draw_source

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bacalhaunet.radio.profiles import FrameSource

_REAL, _TWIN, _MUTED = "#1b1f24", "#0072b2", "#5f6770"
_COLOURS = ("#0072b2", "#d55e00", "#008a64", "#b4588c", "#7a5cc9", "#8a6d00")


def write_folder(folder: str | os.PathLike[str], found: Fidelity, source: FrameSource) -> None:
    """Write ``fidelity.md`` and ``.json``, ``curves.svg``, ``classes.png``; with real frames also ``pulse.svg``."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    write_text(target / "fidelity.md", markdown(found) + "\n\n" + summary(found) + "\n")
    write_text(target / "fidelity.json", json.dumps(found.to_dict()))
    _save(_curves(found), target / "curves.svg")
    draw_source(target / "classes.png", source, seed=found.seed)
    if found.real_frames is not None:
        _save(_pulse(found.real_frames), target / "pulse.svg")


def _figure(width: float, height: float) -> Figure:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as partial:
        figure.savefig(partial, metadata={"Date": None})


def _curves(found: Fidelity) -> Figure:
    """Accuracy over the SNR label: the twin with its interval as a band, published figures as dots."""
    figure = _figure(8, 4.6)
    axis = figure.add_subplot()
    for number, network in enumerate(found.networks):
        colour = _COLOURS[number % len(_COLOURS)]
        rows = network.by_snr()
        snrs = [snr for snr, *_ in rows]
        name = Path(network.file).stem
        axis.plot(snrs, [twin for _, twin, *_ in rows], color=colour, linewidth=1.6, label=f"{name}: twin")
        low, high = zip(*(interval for _, _, interval, _ in rows), strict=True)
        axis.fill_between(snrs, low, high, color=colour, alpha=0.2, linewidth=0)
        known = [(snr, value) for snr, _, _, value in rows if value is not None]
        if known:
            places, values = zip(*known, strict=True)
            axis.scatter(places, values, s=16, facecolors="none", edgecolors=colour, label=f"{name}: real, published")
    axis.set(xlabel="SNR label, dB", ylabel="accuracy", xlim=(-20.5, 30.5), ylim=(0, 1))
    _quiet(axis)
    return figure


def _pulse(real: RealFrames) -> Figure:
    """The two pulses, their difference, and the two spectra."""
    figure = _figure(9, 3.8)
    left, right = figure.subplots(1, 2)
    time = np.arange(-REACH, REACH + 1) / 8
    left.plot(time, real.real.pulse.taps, color=_REAL, linewidth=2.4, label="real frames")
    left.plot(time, real.twin.pulse.taps, color=_TWIN, linewidth=1.2, linestyle="--", label="twin")
    difference = 10 * (real.twin.pulse.taps - real.real.pulse.taps)
    left.plot(time, difference, color=_COLOURS[1], linewidth=0.9, label="10 x difference")
    left.set(xlabel="symbols", title=f"pulse: difference {real.pulse_difference_db:.1f} dB")
    frequency = np.arange(-64, 64) / 128
    right.plot(frequency, real.real.spectrum_db, color=_REAL, linewidth=2.4, label="real frames")
    right.plot(frequency, real.twin.spectrum_db, color=_TWIN, linewidth=1.2, linestyle="--", label="twin")
    right.set(xlabel="cycles a sample", title="mean spectrum, dB", xlim=(-0.5, 0.5))
    for axis in (left, right):
        axis.title.set_fontsize(10)
        _quiet(axis)
    return figure


def _quiet(axis: object) -> None:
    axis.grid(color="#e3e6e9", linewidth=0.7)  # type: ignore[attr-defined]
    axis.legend(frameon=False, fontsize=8)  # type: ignore[attr-defined]
    for side, spine in axis.spines.items():  # type: ignore[attr-defined]
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_MUTED)
