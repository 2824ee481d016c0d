"""Table 3 of the report: BacalhauNet in float and at 8 to 5 bits, trained so and rounded after training."""

from __future__ import annotations

from bacalhaunet.cost.of import cost_of
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.report import published, wording
from bacalhaunet_paper.budgets import PAPER_FRAMES
from bacalhaunet_paper.figures import Line, bit_widths
from bacalhaunet_paper.jobs import ONWARD, Job, Jobs, Trained
from bacalhaunet_paper.network_table import NetworkRow, Result, network_row, protocol

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
    findings = _findings({row.label: row for row in rows})
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


def _findings(rows: dict[str, NetworkRow]) -> list[str]:
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
