"""The report of a run as one HTML page with nothing from elsewhere in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from bacalhaunet import __version__
from bacalhaunet.outputs import write_text
from bacalhaunet.report import published, wording
from bacalhaunet.report.classification import view_classification
from bacalhaunet.report.protocol import protocol_rows, protocol_sentences
from bacalhaunet.report.run import Run, RunStep, load_run
from bacalhaunet.report.run_figures import RunFigures, draw_figures


@dataclass(frozen=True)
class Headline:
    """One figure of the head of the page: ours, large, and the paper's beside it."""

    title: str
    value: str
    detail: str
    paper: str


@dataclass(frozen=True)
class StepRow:
    """One row of the table of steps, as text."""

    title: str
    settings: str
    accuracy: str
    interval: str
    score: str
    paper_accuracy: str
    paper_score: str
    frames_seen: str
    duration: str


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Write the report of the run in ``folder`` and return its path.

    Args:
        folder: A run folder.
        output: The HTML file; None: ``report.html`` in the run folder.

    Raises:
        ConfigError: If the folder holds no run, a part of it is damaged, or the output cannot be written.
    """
    run = load_run(folder)
    path = Path(output) if output is not None else Path(folder) / "report.html"
    write_text(path, render_page(run))
    return path


def render_page(run: Run) -> str:
    """Return the report of a run as HTML. Every text of the run is escaped."""
    environment = Environment(
        loader=PackageLoader("bacalhaunet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent, score=wording.score, count=wording.count, interval=wording.interval
    )
    figures: RunFigures = draw_figures(run)
    return environment.get_template("report.html.j2").render(
        run=run,
        record=run.record,
        version=__version__,
        headlines=_headlines(run),
        steps=step_rows(run.steps),
        cost_step=run.costed[-1] if run.costed else None,
        figures=figures,
        sentences=protocol_sentences(run),
        protocol=protocol_rows(run),
        classification=view_classification(run.record.classification),
    )


def _headlines(run: Run) -> list[Headline]:
    """Return accuracy and cost of the last step that has both, else of the last that has each."""
    winner, costs = published.winner(), published.figures()["submission_cost"]
    both = [step for step in run.evaluated if step.cost]
    found: list[Headline] = []
    measured = (both or list(run.evaluated))[-1:]
    for step in measured:
        if step.evaluation:
            span = f"95 % interval {wording.interval(step.evaluation.interval)}"
            accuracy = wording.percent(step.evaluation.accuracy)
            found.append(Headline("Accuracy", accuracy, span, wording.percent(winner.accuracy)))
    for step in (both or list(run.costed))[-1:]:
        if step.cost:
            less = f"{1 / step.cost.score:.3g} times below the VGG10 baseline" if step.cost.score else ""
            found.append(Headline("Score", wording.score(step.cost.score), less, wording.score(winner.score)))
            operations = wording.count(step.cost.bit_ops)
            found.append(Headline("Bit operations", operations, "per frame", wording.count(costs["bit_ops"])))
            bits = wording.count(step.cost.bit_mem)
            found.append(Headline("Weight memory", bits, "bits", wording.count(costs["bit_mem"])))
    return found


def step_rows(steps: tuple[RunStep, ...]) -> list[StepRow]:
    """Return the table of steps; the first training and the n-th pruning stand beside the paper's."""
    rows: list[StepRow] = []
    path = published.pruning_steps()
    prunings = 0
    for index, step in enumerate(steps):
        record = step.record
        prunings += record.kind == "prune"
        place = prunings if record.kind == "prune" else 0 if index == 0 and record.kind == "train" else len(path)
        paper = path[place] if place < len(path) else None
        settings = [
            f"{symbol} {wording.setting(value)}"
            for symbol, value in (("λ", record.weight_decay), ("ε", record.min_abs_weight))
            if value is not None
        ]
        rows.append(
            StepRow(
                title=record.title,
                settings=", ".join(settings) or wording.MISSING,
                accuracy=wording.percent(step.evaluation.accuracy if step.evaluation else None),
                interval=wording.short_interval(step.evaluation.interval if step.evaluation else None),
                score=wording.score(step.cost.score if step.cost else None),
                paper_accuracy=wording.percent(paper.accuracy if paper else None),
                paper_score=wording.score(paper.score if paper else None),
                frames_seen=wording.count(record.frames_seen) if record.frames_seen else wording.MISSING,
                duration=wording.duration(record.seconds) if record.seconds else wording.MISSING,
            )
        )
    return rows
