"""Figure 2 of the report: the spread of samples per class, and what it says about clipping at [-2, 3]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.radio.modulations import NAMES
from bacalhaunet_paper.figures import QUANTILES, sample_spread
from bacalhaunet_paper.frames import require_cells
from bacalhaunet_paper.jobs import Jobs
from bacalhaunet_paper.network_table import Result

SNRS_DB = (30, -20)
"""SNR labels of the two panels."""

CLIP = (-2.0, 3.0)
"""The report's bounds."""

CANDIDATES: tuple[tuple[float, float], ...] = ((-1, 1), (-2, 2), CLIP, (-3, 3), (-4, 4), (-8, 8))

INPUT_BITS = 8


@dataclass(frozen=True)
class Spread:
    """The samples of one class at one SNR.

    Attributes:
        quantiles: Values of ``QUANTILES``.
        below: Share of samples below the report's lower bound.
        above: Share of samples above its upper bound.
        errors: For each of ``CANDIDATES`` the error of clipping and 8 bits, root mean square.
    """

    quantiles: tuple[float, ...]
    below: float
    above: float
    errors: tuple[float, ...]


def clipping_error(samples: NDArray[np.float32], clip: tuple[float, float]) -> float:
    """Return the root mean square of ``x - s round(clip(x) / s)``, with the step ``s = max |clip| / 128``."""
    step = max(-clip[0], clip[1]) / 2 ** (INPUT_BITS - 1)
    levels = np.clip(np.round(np.clip(samples, *clip) / step), -(2 ** (INPUT_BITS - 1)), 2 ** (INPUT_BITS - 1) - 1)
    return float(np.sqrt(np.mean(np.square(samples - step * levels, dtype=np.float64))))


def spread_of(samples: NDArray[np.float32]) -> Spread:
    """Describe samples of any shape."""
    flat = samples.ravel()
    return Spread(
        tuple(float(value) for value in np.quantile(flat, QUANTILES)),
        float((flat < CLIP[0]).mean()),
        float((flat > CLIP[1]).mean()),
        tuple(clipping_error(flat, clip) for clip in CANDIDATES),
    )


def figure_2(jobs: Jobs) -> tuple[Result, str]:
    """Look at the samples of every class at +30 and -20 dB."""
    labels = jobs.frames.labels
    if jobs.setting.data is not None:
        require_cells(jobs.setting.data, labels, SNRS_DB)
    found = {
        snr: {NAMES[label]: spread_of(jobs.frames.cell(label, snr).cpu().numpy()) for label in labels}
        for snr in SNRS_DB
    }
    count = len(jobs.frames.cell(labels[0], SNRS_DB[0]))
    protocol = {
        "budget": jobs.setting.budget.name,
        "data": jobs.frames.description,
        "frames": f"{count} training frames of each class at each SNR, I and Q together: {2048 * count:,} samples",
    }
    result = Result(
        "figure2",
        "Figure 2: the spread of samples of each class",
        protocol,
        findings=_findings(found),
        extra={"spreads": {str(snr): {k: vars(v) for k, v in rows.items()} for snr, rows in found.items()}},
        tables=[_errors(found), *(_quantiles(snr, rows) for snr, rows in found.items())],
    )
    plain = {snr: {name: spread.quantiles for name, spread in rows.items()} for snr, rows in found.items()}
    return result, sample_spread(result.name, plain, CLIP)


def _findings(found: dict[int, dict[str, Spread]]) -> list[str]:
    high, low = (found[snr] for snr in SNRS_DB)
    within = [name for name, spread in high.items() if spread.below + spread.above < 1e-3]
    outside = [name for name, spread in high.items() if spread.below + spread.above > 0.25]
    most = max(spread.below + spread.above for spread in low.values())
    fine, wide = (_median_error(high, clip) for clip in (CLIP, CANDIDATES[-1]))
    findings = [
        f"At {SNRS_DB[0]:+d} dB {len(within)} of {len(high)} classes have less than 0.1 % of their samples outside "
        f"[-2, 3]. The 8-bit input spends its levels there: the median class has an error of {fine:.4f} with that "
        f"range and {wide:.4f} with [-8, 8].",
        f"At {SNRS_DB[1]:+d} dB all classes look like noise of power 1; at most {100 * most:.2f} % lie outside.",
    ]
    if outside:
        findings.append(
            f"Often outside: {', '.join(outside)}, frames that are little but a strong carrier. Clipped, they are "
            "nearly constant at the bounds, which no other class is."
        )
    others = [spread for name, spread in high.items() if name not in outside]
    below, above = (100 * float(np.mean([getattr(s, side) for s in others])) for side in ("below", "above"))
    findings.append(
        f"Of the other classes' samples {below:.2f} % lie below -2 and {above:.2f} % above 3 at {SNRS_DB[0]:+d} dB. "
        "Nothing here asks for more room above than below; the report chose its bounds by such a picture of the real "
        "data."
    )
    return findings


def _median_error(classes: dict[str, Spread], clip: tuple[float, float]) -> float:
    return float(np.median([spread.errors[CANDIDATES.index(clip)] for spread in classes.values()]))


def _errors(found: dict[int, dict[str, Spread]]) -> tuple[str, list[str], list[list[str]]]:
    """Return the error of each candidate range: of the median class and of the worst."""
    heading = "Error of an 8-bit input by range, root mean square; a frame's power is about 1, that of AM-SSB more"
    columns = ["range"] + [f"{snr:+d} dB, {which}" for snr in found for which in ("median class", "worst class")]
    rows = []
    for place, (low, high) in enumerate(CANDIDATES):
        cells = [f"[{low:g}, {high:g}]" + " (the report's)" * ((low, high) == CLIP)]
        for classes in found.values():
            errors = [spread.errors[place] for spread in classes.values()]
            cells += [f"{np.median(errors):.4f}", f"{max(errors):.3f}"]
        rows.append(cells)
    return heading, columns, rows


def _quantiles(snr: int, rows: dict[str, Spread]) -> tuple[str, list[str], list[list[str]]]:
    columns = ["class", *(f"{100 * q:g} %" for q in QUANTILES), "below -2", "above 3"]
    cells = [
        [name, *(_plain(v) for v in spread.quantiles), f"{100 * spread.below:.2f} %", f"{100 * spread.above:.2f} %"]
        for name, spread in rows.items()
    ]
    return f"Quantiles at {snr:+d} dB", columns, cells


def _plain(value: float) -> str:
    """Return a value with two decimals, and no minus before zero."""
    return f"{round(value, 2) + 0.0:.2f}"
