"""The fidelity report as Markdown tables, for the terminal and the docs."""

from __future__ import annotations

from collections.abc import Sequence

from bacalhaunet.report.fidelity import Fidelity
from bacalhaunet.report.fidelity_networks import OVERALL, PER_SNR, NetworkFidelity
from bacalhaunet.report.fidelity_real import RealFrames
from bacalhaunet.report.fidelity_statistics import Comparison


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
    """Share of each class named rightly, real / twin, and the distance of the whole rows."""
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
