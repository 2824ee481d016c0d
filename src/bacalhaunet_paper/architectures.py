"""Float networks against their cost: the initial experiments, figure 3 and figure 4 of the report."""

from __future__ import annotations

from itertools import combinations, pairwise

from bacalhaunet.models.catalog import CATALOG, find_spec, separable_network
from bacalhaunet.report import published, wording
from bacalhaunet_paper.figures import CostPoint, accuracy_cost
from bacalhaunet_paper.jobs import Job, Jobs
from bacalhaunet_paper.network_table import NetworkRow, Result, network_row, protocol


def initial_experiments(jobs: Jobs) -> tuple[Result, str]:
    """Train MobileNetV3-Small in one dimension, in float and at 8 bits, and one depthwise separable convolution."""
    mobile = find_spec("mobilenetv3-small-1d")
    specs = {
        "MobileNetV3-Small, 1-D, float32": mobile,
        "MobileNetV3-Small, 1-D, 8 bits": mobile.quantized(8, 8),
        "one separable convolution, kernel 5, stride 2": find_spec("first-experiment"),
    }
    labels = ("mobilenetv3-float", "mobilenetv3-8-bits", "first-experiment")
    pairs = zip(labels, specs.items(), strict=True)
    trained = {name: jobs.train(Job(label, spec, kind="initial")) for label, (name, spec) in pairs}
    measured = jobs.measure("initial-experiments", trained)
    paper = published.earlier_models()
    notes = ("", "results no activation follows stay unquantized; which ones the report left so is not published", "")
    rows = [
        network_row(name, trained[name], measured[name], (point.accuracy, point.score), note or point.note)
        for name, point, note in zip(specs, paper, notes, strict=True)
    ]
    findings = [_score_finding(row) for row in rows]
    facts = protocol(jobs, jobs.setting.budget.initial_frames, jobs.setting.budget.initial_batch_size)
    result = Result("initial-experiments", "Initial experiments", facts, rows, findings)
    return result, accuracy_cost(result.name, points(rows), paper_points(rows), logarithmic=True)


def figure_3(jobs: Jobs) -> tuple[Result, str]:
    """Train the prototype with one kernel length in all four blocks, for each length of the budget's grid."""
    specs = {
        f"kernels of {kernel}": separable_network((kernel,) * 4, (2, 1, 2, 1), (24, 24, 48, 48))
        for kernel in jobs.setting.budget.kernels
    }
    trained = {name: jobs.train(Job(name.replace(" ", "-"), spec)) for name, spec in specs.items()}
    trained["prototype: 27, 21, 15, 9"] = jobs.train(Job("figure4a-11", find_spec("figure4a-11")))
    measured = jobs.measure("figure3", trained)
    prototype = published.figure_4a()[10]
    rows = [
        network_row(
            name,
            trained[name],
            measured[name],
            (prototype.accuracy, prototype.score) if name.startswith("prototype") else (None, None),
        )
        for name in trained
    ]
    findings = [_gain(before, after) for before, after in pairwise(rows[:-1])]
    findings.append("The report gives figure 3 as a picture only, so there are no numbers of its own to stand beside.")
    result = Result("figure3", "Figure 3: kernel length against accuracy and cost", protocol(jobs), rows, findings)
    shown = [_point(row, row.label.removeprefix("kernels of ")) for row in rows[:-1]]
    return result, accuracy_cost(result.name, shown, [], title="ours; numbers are kernel lengths", joined=True)


def figure_4(jobs: Jobs) -> tuple[Result, str]:
    """Train the 13 architectures of figure 4a in float."""
    names = [name for name in CATALOG if name.startswith("figure4a-")]
    trained = {name: jobs.train(Job(name, find_spec(name))) for name in names}
    measured = jobs.measure("figure4", trained)
    rows = [
        network_row(
            f"{point.label.removeprefix('figure4a-')}: {point.kernels}, {point.strides}, {point.channels}",
            trained[name],
            measured[name],
            (point.accuracy, point.score),
        )
        for name, point in zip(names, published.figure_4a(), strict=True)
    ]
    equal = sum(equals_printed(row.score, row.paper_score) for row in rows if row.paper_score)
    findings = [
        f"{equal} of {len(rows)} scores equal the paper's to the digits printed.",
        order_finding(rows),
        "A row names kernels, strides and channels of the four blocks.",
    ]
    result = Result("figure4", "Figure 4: the 13 architectures", protocol(jobs), rows, findings)
    title = "ours; numbers as in the table"
    return result, accuracy_cost(result.name, points(rows), paper_points(rows), title=title)


def order_finding(rows: list[NetworkRow]) -> str:
    """Say how far our accuracies stand in the paper's order, as far as the intervals separate them."""
    separated = agreeing = 0
    for one, other in combinations(rows, 2):
        if one.interval is None or other.interval is None or one.paper_accuracy is None or other.paper_accuracy is None:
            continue
        apart = one.interval[1] < other.interval[0] or other.interval[1] < one.interval[0]
        if apart and one.paper_accuracy != other.paper_accuracy:
            separated += 1
            assert one.accuracy is not None
            assert other.accuracy is not None
            agreeing += (one.accuracy < other.accuracy) == (one.paper_accuracy < other.paper_accuracy)
    pairs = len(rows) * (len(rows) - 1) // 2
    if not separated:
        return f"None of the {pairs} pairs have intervals apart: this budget cannot tell the accuracies' order."
    return (
        f"{separated} of {pairs} pairs have intervals apart; {agreeing} of them stand in the paper's order. One seed "
        "each: another can move an accuracy further than its interval is wide."
    )


def equals_printed(score: float, printed: float) -> bool:
    """Say whether a score equals a published one to the digits it was printed with."""
    return round(score, len(str(printed).partition(".")[2])) == printed


def _score_finding(row: NetworkRow) -> str:
    assert row.paper_score is not None
    text = f"{row.label}: score {wording.score(row.score)}, the paper's {wording.score(row.paper_score)}"
    if equals_printed(row.score, row.paper_score):
        return f"{text}, equal to the digits printed."
    return f"{text} ({100 * (row.score / row.paper_score - 1):+.1f} %)."


def points(rows: list[NetworkRow]) -> list[CostPoint]:
    """Return the rows that were measured as points of a figure."""
    return [_point(row, _short(row.label)) for row in rows]


def paper_points(rows: list[NetworkRow]) -> list[CostPoint]:
    """Return what the paper has for the rows as points of a figure."""
    return [
        CostPoint(_short(row.label), row.paper_score, row.paper_accuracy)
        for row in rows
        if row.paper_score is not None and row.paper_accuracy is not None
    ]


def _point(row: NetworkRow, label: str) -> CostPoint:
    assert row.accuracy is not None
    return CostPoint(label, row.score, row.accuracy, row.interval)


def _short(label: str) -> str:
    """Return the part of a row's label that fits beside a point."""
    return label.split(":")[0].replace("MobileNetV3-Small, 1-D, ", "MobileNetV3, ").split(", kernel")[0]


def _gain(before: NetworkRow, after: NetworkRow) -> str:
    assert before.accuracy is not None
    assert after.accuracy is not None
    points_more, cost = 100 * (after.accuracy - before.accuracy), 100 * (after.score / before.score - 1)
    longer = after.label.removeprefix("kernels of ")
    return f"From {before.label} to {longer}: {points_more:+.2f} points for {cost:+.1f} % of score."
