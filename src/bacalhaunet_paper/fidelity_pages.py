"""The fidelity report as a folder: tables in Markdown, figures in JSON, pictures in SVG and PNG.

The fidelity report as Markdown tables, for the terminal and the docs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.outputs import whole_file, write_text
from bacalhaunet.report.source_picture import draw_source
from bacalhaunet_paper.fidelity import OVERALL, PER_SNR, Comparison, Fidelity, NetworkFidelity
from bacalhaunet_paper.fidelity_real import REACH, RealFrames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bacalhaunet.radio.profiles import FrameSource


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [list(heading), ["---", *["---:"] * (len(heading) - 1)], *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heading))]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells)


def _known(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


def networks_table(found: Fidelity) -> str:
    """Overall accuracy of each network on the twin and on the real data."""
    rows = []
    for network in found.networks:
        low, high = network.evaluation.interval
        name = network.published.name if network.published else network.file
        published = network.published.accuracy if network.published else None
        rows.append(
            [
                name,
                f"{network.evaluation.accuracy:.4f}",
                f"{low:.4f} to {high:.4f}",
                _known(published),
                _known(None if network.difference is None else 100 * network.difference, "+.2f"),
            ]
        )
    return _table(["network", "twin", "95 % interval", "real", "points"], rows)


def snr_table(found: Fidelity) -> str:
    """Accuracy at each SNR label: the twin's with half its 95 % interval, and the published one."""
    heading, columns = ["SNR label, dB"], [[f"{snr:+d}" for snr in found.networks[0].evaluation.snrs_db]]
    for network in found.networks:
        name = network.published.name if network.published else network.file
        rows = network.by_snr()
        heading.append(f"{name}: twin")
        columns.append([f"{twin:.3f} ± {(high - low) / 2:.3f}" for _, twin, (low, high), _ in rows])
        if any(known is not None for *_, known in rows):
            heading.append("real")
            columns.append([_known(known, ".3f") for *_, known in rows])
    return _table(heading, list(zip(*columns, strict=True)))


def confusion_table(network: NetworkFidelity) -> str:
    """Accuracy of each class, real / twin, and the distance of the whole rows."""
    rows = network.confusion_rows()
    snrs = sorted({row["snr_db"] for row in rows})
    names = list(network.evaluation.names)
    heading = ["class"] + [text for snr in snrs for text in (f"{snr:+d} dB: real / twin", "distance")]
    body = []
    for label, name in enumerate(names):
        line = [name]
        for snr in snrs:
            row = next(row for row in rows if row["snr_db"] == snr and row["modulation"] == name)
            line += [f"{row['real'][label]:.2f} / {row['twin'][label]:.2f}", f"{row['distance']:.3f}"]
        body.append(line)
    mean = ["mean"]
    for snr in snrs:
        distances = [row["distance"] for row in rows if row["snr_db"] == snr]
        mean += ["", f"{sum(distances) / len(distances):.3f}"]
    return _table(heading, [*body, mean])


def statistics_table(comparisons: Sequence[Comparison]) -> str:
    """Sample statistics, real beside twin."""
    rows = [
        [c.modulation, c.what, f"{c.snr_db:+d}", f"{c.real:.4g}", f"{c.twin:.4g}", "yes" if c.agrees else "no"]
        for c in comparisons
    ]
    return _table(["class", "statistic", "SNR label, dB", "real", "twin", "agrees"], rows)


def real_frames_table(real: RealFrames) -> str:
    """Power and pulse, real beside twin."""
    a, b = real.real, real.twin
    rows = [
        ["frames", str(a.frames), str(b.frames)],
        ["mean power of 128 samples", f"{a.power:.3f}", f"{b.power:.3f}"],
        ["its std over frames", f"{a.power_std:.3f}", f"{b.power_std:.3f}"],
        ["roll-off", f"{a.pulse.roll_off:.3f}", f"{b.pulse.roll_off:.3f}"],
        ["root-raised cosines in cascade", f"{a.pulse.cascaded:.3f}", f"{b.pulse.cascaded:.3f}"],
        ["timing, samples", f"{a.pulse.timing:.3f}", f"{b.pulse.timing:.3f}"],
        ["pulse: twin less real, dB", "", f"{real.pulse_difference_db:.1f}"],
        ["spectrum above -30 dB: largest difference, dB", "", f"{real.spectrum_difference_db:.2f}"],
    ]
    return _table(["BPSK and QPSK at +30 dB", "real", "twin"], rows)


def markdown(found: Fidelity) -> str:
    """The whole report."""
    count = 24 * 26 * found.frames_per_cell
    parts = [
        f"Twin: 24 classes x 26 SNR labels x {found.frames_per_cell} frames = {count} frames, seed {found.seed}. "
        "Intervals are Wilson's, 95 %, of the twin's sampling alone.",
        networks_table(found),
        snr_table(found),
    ]
    parts += [confusion_table(network) for network in found.networks if network.confusion_rows()]
    parts.append(statistics_table(found.statistics))
    if found.real_frames is not None:
        parts.append(real_frames_table(found.real_frames))
    return "\n\n".join(parts)


def summary(found: Fidelity) -> str:
    """What agrees and what does not, in a few lines."""
    lines = []
    for network in found.networks:
        if network.difference is None or network.published is None:
            continue
        curve = [(snr, twin - known) for snr, twin, _, known in network.by_snr() if known is not None]
        outside = [f"{snr:+d} dB ({difference:+.3f})" for snr, difference in curve if abs(difference) > PER_SNR]
        words = "within" if abs(network.difference) <= OVERALL else "NOT within"
        line = f"{network.published.name}: {100 * network.difference:+.2f} points, {words} 0.5"
        if curve:
            line += "; every SNR label within 0.02" if not outside else f"; beyond 0.02 at {', '.join(outside)}"
        lines.append(line)
    failed = [f"{c.modulation} {c.snr_db:+d} dB ({c.what})" for c in found.statistics if not c.agrees]
    lines.append(f"statistics: {len(found.statistics) - len(failed)} of {len(found.statistics)} agree")
    return "\n".join(lines) + (f"; not {', '.join(failed)}" if failed else "")


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
