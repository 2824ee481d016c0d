"""The report of a run as one HTML page with nothing from elsewhere in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bacalhaunet import __version__
from bacalhaunet.outputs import write_text
from bacalhaunet.report import published, wording
from bacalhaunet.report.figures_of_runs import RunFigures, draw_figures
from bacalhaunet.report.run import Run, RunStep, read_run

_ANSWER = {"label", "confidence", "agreement", "probabilities"}
"""Fields of the summary that the answer shows; the others are facts."""


@dataclass(frozen=True)
class ClassificationView:
    """What the page says about a recording.

    Attributes:
        answer: The named modulation with its confidence, as a sentence; empty where the record has none.
        bars: The most probable modulations with their probability, largest first.
        facts: Everything else as rows of name and text.
    """

    answer: str
    bars: tuple[tuple[str, float], ...]
    facts: tuple[tuple[str, str], ...]


def view_classification(values: Mapping[str, Any], most: int = 5) -> ClassificationView | None:
    """Return the view of what ``classify --json`` prints, or of its ``summary`` alone; None where there is nothing.

    Args:
        values: The object.
        most: Number of bars.
    """
    if not values:
        return None
    summary = values.get("summary", values)
    if not isinstance(summary, Mapping):
        summary = {"summary": summary}
    found = summary.get("probabilities")
    shares = {str(k): float(v) for k, v in found.items() if _is_share(v)} if isinstance(found, Mapping) else {}
    bars = sorted(shares.items(), key=lambda item: -item[1])[:most]
    rest = {key: value for key, value in summary.items() if key not in _ANSWER or (key == "probabilities" and not bars)}
    return ClassificationView(_answer(summary), tuple(bars), tuple(flat_items(rest)))


def flat_items(values: Mapping[str, Any], prefix: str = "", longest: int = 24) -> list[tuple[str, str]]:
    """Return nested values as rows of name and text; of a long list the first ``longest`` and how many follow."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += flat_items(value, f"{name}, ", longest)
        elif isinstance(value, (list, tuple)):
            shown = ", ".join(_short(item) for item in value[:longest])
            more = f" and {len(value) - longest} more" if len(value) > longest else ""
            rows.append((name, shown + more or wording.MISSING))
        else:
            rows.append((name, _short(value)))
    return rows


def _answer(summary: Mapping[str, Any]) -> str:
    if "label" not in summary:
        return ""
    label = summary["label"]
    if label is None:
        return "No modulation was named: every frame is silent."
    answer = f"The recording is named {label}"
    if _is_share(summary.get("confidence")):
        answer += f", with a confidence of {wording.percent(summary['confidence'], 1)}"
    if _is_share(summary.get("agreement")):
        answer += f"; {wording.percent(summary['agreement'], 1)} of its frames say so one by one"
    return answer + "."


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    return wording.MISSING if value is None else str(value)


_SOURCES = {
    "twin": "The frames come from the twin, a generator made to match RadioML 2018.01A. The published accuracies "
    "beside ours were measured on the real data, so they compare as far as the twin can be trusted.",
    "field": "The frames come from the field profile: signals as a receiver meets them, not RadioML's. The published "
    "accuracies beside ours are of another task and give only a scale.",
    "file": "The frames come from a file in RadioML 2018.01A's layout. The published accuracies beside ours are of the "
    "original data set's prescribed test split; they compare directly only if this file is that data set.",
}

_NAMES = {
    "split": "part of the data",
    "frames_per_cell": "frames of each modulation and SNR",
    "train_snr_min_db": "lowest SNR trained on, dB",
    "seed": "seed",
    "selection": "choices were made on",
}


def protocol_sentences(run: Run) -> list[str]:
    """Return what a reader must know before comparing the accuracies, one statement a sentence or two."""
    sentences: list[str] = []
    if run.record.profile in _SOURCES:
        sentences.append(_SOURCES[run.record.profile])
    if run.evaluated and (last := run.evaluated[-1].evaluation):
        counted = wording.count(last.frames)
        if last.by_modulation:
            snrs = f" and {len(last.by_snr)} SNR labels" if last.by_snr else ""
            over = f"over {len(last.by_modulation)} modulations{snrs}"
            sentences.append(f"Accuracy is the share of {counted} frames that were classified correctly, {over}.")
        else:
            sentences.append(
                f"Accuracy is the share of {counted} validation frames that were classified correctly. Choices were "
                "made on these frames, so it flatters a little: 'bacalhaunet evaluate --split test' gives the accuracy "
                "to report."
            )
        sentences.append(
            "Intervals are Wilson's at 95 %. They cover the chance in which frames were drawn, not the chance in "
            "training: another seed can move an accuracy further than its interval is wide."
        )
    seen = sum(step.record.frames_seen for step in run.steps)
    if seen:
        paper = "; the paper's training saw about 46 million" if run.comparable else ""
        sentences.append(f"The network saw {wording.count(seen)} frames in all steps together{paper}.")
    return sentences


def protocol_rows(run: Run) -> list[tuple[str, str]]:
    """Return the recorded facts of the protocol as rows of name and value."""
    rows = [("data", run.record.data)] if run.record.data else []
    for key, value in run.record.protocol.items():
        rows.append((_NAMES.get(key, key.replace("_", " ")), wording.MISSING if value is None else str(value)))
    return rows


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


@dataclass(frozen=True)
class SpeedRow:
    """One engine's speed, as text; ``times`` is its frames per second over those of the last engine."""

    engine: str
    latency: str
    rate: str
    times: str


def speed_rows(speeds: Sequence[Mapping[str, Any]]) -> list[SpeedRow]:
    """Return the table of speeds, rows as ``bench --json`` prints them."""
    return [
        SpeedRow(
            engine=str(row["engine"]),
            latency=f"{row['latency_us']:.0f}",
            rate=wording.count(row["frames_per_second"]),
            times=f"{row['frames_per_second'] / max(speeds[-1]['frames_per_second'], 1e-9):.1f}",
        )
        for row in speeds
    ]


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Write the report of the run in ``folder`` and return its path.

    Args:
        folder: The folder of a run: of the main job, or one that train, prune, compress or evaluate left.
        output: The HTML file; None: ``report.html`` in the run folder.

    Raises:
        ConfigError: If the folder holds no run, a part of it is damaged, or the output cannot be written.
    """
    run = read_run(folder)
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
        speed=speed_rows(run.record.speed),
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


def _papers(steps: Sequence[RunStep]) -> Iterator[published.PublishedPoint | None]:
    """Yield the published network beside each step: in float, trained at 6 bits, pruned as often as it; or None."""
    path, prunings, trainings = published.pruning_steps(), 0, 0
    for step in steps:
        prunings += step.record.kind == "prune"
        trainings += step.record.kind == "train"
        if step.record.kind == "start":
            yield published.table_3()[0]
        elif step.record.kind == "prune" and prunings < len(path):
            yield path[prunings]
        else:
            yield path[0] if step.record.kind == "train" and trainings == 1 else None


def step_rows(steps: tuple[RunStep, ...]) -> list[StepRow]:
    """Return the table of steps; what the paper did likewise stands beside ours."""
    rows: list[StepRow] = []
    for step, paper in zip(steps, _papers(steps), strict=True):
        record = step.record
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
