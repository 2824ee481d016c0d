"""What few bits do: clipping and an 8-bit input (figure 2 of the report), 8 to 5 bits trained and rounded (table 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.cost.of import cost_of
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.report import published, wording
from bacalhaunet_paper.budgets import PAPER_FRAMES
from bacalhaunet_paper.figures import QUANTILES, Line, bit_widths, sample_spread
from bacalhaunet_paper.frames import require_cells
from bacalhaunet_paper.jobs import ONWARD, Job, Jobs, Trained
from bacalhaunet_paper.network_table import NetworkRow, Result, network_row, protocol

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
        findings=_clipping_findings(found),
        extra={"spreads": {str(snr): {k: vars(v) for k, v in rows.items()} for snr, rows in found.items()}},
        tables=[_errors(found), *(_quantiles(snr, rows) for snr, rows in found.items())],
    )
    plain = {snr: {name: spread.quantiles for name, spread in rows.items()} for snr, rows in found.items()}
    return result, sample_spread(result.name, plain, CLIP)


def _clipping_findings(found: dict[int, dict[str, Spread]]) -> list[str]:
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


BITS = (8, 7, 6, 5)

FLOAT = "float32"

WEIGHT_DECAY = 1e-4
"""Lambda of every training, the report's."""


def quantized_bacalhaunet(bits: int) -> NetworkSpec:
    """Return BacalhauNet with weights, activations and residual sums of so many bits, and an input of 8."""
    return find_spec("bacalhaunet").quantized(bits, bits, input_bits=8, sum_bits=bits)


def training_job(label: str, spec: NetworkSpec, start: Trained | None = None) -> Job:
    """Return a training of table 3; all have one lambda and one start, so that bits are all they differ in."""
    if start is None:
        return Job(label, spec, weight_decay=WEIGHT_DECAY)
    return Job(label, spec, start.model, weight_decay=WEIGHT_DECAY, kind="bits")


def six_bit_job() -> Job:
    """Return the training at 6 bits that figure 5 starts from, and that table 3 shares where it starts from scratch."""
    return training_job("bacalhaunet-6-bits", quantized_bacalhaunet(6))


def common_start(jobs: Jobs) -> Trained | None:
    """Return the float network that all trainings of the table go on from; None where each starts from scratch."""
    if not jobs.setting.budget.float_frames:
        return None
    return jobs.train(Job("bacalhaunet-start", find_spec("bacalhaunet"), weight_decay=WEIGHT_DECAY, kind="float"))


def table_3(jobs: Jobs) -> tuple[Result, str]:
    """Train BacalhauNet in float and at 8 to 5 bits; round the float network to each, without training."""
    start = common_start(jobs)
    whole = jobs.train(training_job("bacalhaunet-float", find_spec("bacalhaunet"), start))
    trained: dict[str, Trained] = {FLOAT: whole}
    for bits in BITS:
        job = training_job(f"bacalhaunet-{bits}-bits", quantized_bacalhaunet(bits), start)
        trained[f"{bits} bits"] = jobs.train(job)
    for bits in BITS:
        spec = quantized_bacalhaunet(bits)
        trained[f"{bits} bits, rounded"] = jobs.rounded(f"bacalhaunet-{bits}-bits", trained[FLOAT], spec)
    measured = jobs.measure("table3", trained)
    paper = {row.label.removeprefix("BacalhauNet, "): (row.accuracy, row.score) for row in published.table_3()}
    rows = [
        network_row(name, trained[name], measured[name], paper.get(name, (None, None)), _note(name, start))
        for name in trained
    ]
    findings = _width_findings({row.label: row for row in rows})
    facts = _protocol(jobs)
    result = Result("table3", "Table 3: bits, trained and rounded", facts, rows, findings)
    return result, bit_widths(result.name, [FLOAT, *(f"{bits} bits" for bits in BITS)], *_lines(rows))


def _note(name: str, start: Trained | None) -> str:
    if name.endswith("rounded"):
        return "float weights rounded, thresholds set on 1,024 training frames, no training"
    return "the network figure 5 starts from" if name == "6 bits" and start is None else ""


def _protocol(jobs: Jobs) -> dict[str, str]:
    budget = jobs.setting.budget
    facts = protocol(jobs)
    if budget.float_frames:
        frames, share = budget.float_frames + budget.bits_frames, 0.01 * PAPER_FRAMES
        facts["frames of each training"] = (
            f"{frames:,}, {frames / share:.2g} % of the paper's {PAPER_FRAMES / 1e6:.0f} million, for all alike: "
            f"{budget.float_frames:,} in {budget.train_epochs} epochs of one float network, which float and each width "
            f"go on from with {budget.bits_frames:,} in {budget.tune_epochs} epochs, at {ONWARD:g} of the learning "
            "rates; two trainings from scratch differ by more than bits cost"
        )
        del facts["frames of each fine-tuning"]
    return facts | {"λ": f"{wording.setting(WEIGHT_DECAY)} in every training"}


def _lines(rows: list[NetworkRow]) -> tuple[dict[str, Line], Line]:
    """Return our lines by label, and the paper's."""
    trained: dict[str, tuple[float, tuple[float, float] | None]] = {}
    rounded: dict[str, tuple[float, tuple[float, float] | None]] = {}
    for row in rows:
        assert row.accuracy is not None
        name = row.label.removesuffix(", rounded")
        (trained if name == row.label else rounded)[name] = (row.accuracy, row.interval)
    paper = {row.label: (row.paper_accuracy, None) for row in rows if row.paper_accuracy is not None}
    return {"trained with bits": trained, "rounded after training": rounded}, paper


def _width_findings(rows: dict[str, NetworkRow]) -> list[str]:
    whole = rows[FLOAT].accuracy
    assert whole is not None
    found = []
    for bits in BITS:
        trained, rounded = rows[f"{bits} bits"].accuracy, rows[f"{bits} bits, rounded"].accuracy
        assert trained is not None
        assert rounded is not None
        found.append(
            f"{bits} bits: trained {100 * (trained - whole):+.2f} points from float, rounded "
            f"{100 * (rounded - whole):+.2f}."
        )
    unquantized = cost_of(find_spec("bacalhaunet").quantized(6, 6, input_bits=8, sum_bits=None)).score
    quantized = cost_of(quantized_bacalhaunet(6)).score
    found.append(
        "Residual sums are quantized here. The paper's were not, so the two layers after them are charged 32 bits: at "
        f"6 bits that is {wording.score(unquantized)} against {wording.score(quantized)}, "
        "every weight counted. The scores in the table leave out weights that are zero after rounding."
    )
    return found
