"""A table of networks, ours beside the paper's: as Markdown for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bacalhaunet.outputs import write_text
from bacalhaunet.report import wording
from bacalhaunet.report.wording import table
from bacalhaunet_paper.budgets import PAPER_FRAMES, TableBudget
from bacalhaunet_paper.jobs import LEARNING_RATE, MATRIX_LEARNING_RATE, Jobs, Trained


@dataclass(frozen=True)
class NetworkRow:
    """One network.

    Attributes:
        label: What it is.
        score: Our score, zeros discounted.
        accuracy: On our test frames, 0 to 1; None if it was judged on validation alone.
        interval: Wilson's 95 % interval of the accuracy.
        frames: Test frames the accuracy was measured on.
        validation_accuracy: On the frames choices are made on.
        frames_seen: Training frames.
        paper_accuracy: Published, on the real data; None if there is none.
        paper_score: Published.
        note: What a reader must know of the row.
        accuracy_by_snr: On our test frames, by SNR label in dB.
    """

    label: str
    score: float
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    frames: int | None = None
    validation_accuracy: float | None = None
    frames_seen: int | None = None
    paper_accuracy: float | None = None
    paper_score: float | None = None
    note: str = ""
    accuracy_by_snr: Mapping[str, float] = field(default_factory=dict, repr=False)


def network_row(
    label: str,
    trained: Trained,
    measured: Mapping[str, Any] | None = None,
    paper: tuple[float | None, float | None] = (None, None),
    note: str = "",
) -> NetworkRow:
    """Return the row of a trained network, with what was measured and published of it."""
    found = measured or {}
    interval = found.get("interval")
    return NetworkRow(
        label=label,
        score=trained.score,
        accuracy=found.get("accuracy"),
        interval=None if interval is None else (interval[0], interval[1]),
        frames=found.get("frames"),
        validation_accuracy=trained.validation_accuracy,
        frames_seen=trained.frames_seen,
        paper_accuracy=paper[0],
        paper_score=paper[1],
        note=note,
        accuracy_by_snr=found.get("accuracy_by_snr", {}),
    )


@dataclass(frozen=True)
class Result:
    """A table or figure of the report, run again.

    Attributes:
        name: The word the command takes.
        title: What it shows.
        protocol: Facts a reader needs before comparing, by name.
        rows: Networks.
        findings: What the figures say, in sentences.
        extra: Further results for the JSON file.
        tables: Further tables for the Markdown file, each a heading, column names and rows of cells.
    """

    name: str
    title: str
    protocol: Mapping[str, str]
    rows: Sequence[NetworkRow] = ()
    findings: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = ()

    def write(self, folder: Path, svg: str) -> Path:
        """Write the Markdown, JSON and SVG files and return the Markdown's path."""
        write_text(folder / f"{self.name}.svg", svg)
        write_text(folder / f"{self.name}.json", json.dumps(self.to_dict(), indent=1, allow_nan=False))
        path = folder / f"{self.name}.md"
        write_text(path, self.markdown())
        return path

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "name": self.name,
            "title": self.title,
            "protocol": dict(self.protocol),
            "rows": [asdict(row) for row in self.rows],
            "findings": list(self.findings),
            **self.extra,
        }

    def markdown(self) -> str:
        """Return the text with its tables."""
        lines = [f"# {self.title}", "", f"![{self.title}]({self.name}.svg)", ""]
        lines += [f"- {finding}" for finding in self.findings] + [""] * bool(self.findings)
        if self.rows:
            lines += table(_HEADINGS, [_cells(row) for row in self.rows])
        for heading, columns, rows in self.tables:
            lines += [f"## {heading}", "", *table(columns, rows)]
        counts = sorted({row.frames for row in self.rows if row.frames is not None})
        measured = [("test frames of each network", ", ".join(f"{count:,}" for count in counts))] * bool(counts)
        lines += ["## Protocol", "", *table(("", ""), [*self.protocol.items(), *measured])]
        return "\n".join(lines)


_HEADINGS = (
    "network",
    "accuracy, %",
    "95 % interval",
    "paper, %",
    "score",
    "paper's score",
    "validation, %",
    "frames trained",
    "note",
)


def _cells(row: NetworkRow) -> list[str]:
    return [
        row.label,
        _percent(row.accuracy),
        wording.short_interval(row.interval),
        _percent(row.paper_accuracy),
        wording.score(row.score),
        wording.score(row.paper_score),
        _percent(row.validation_accuracy),
        wording.count(row.frames_seen),
        row.note,
    ]


def _percent(share: float | None) -> str:
    return wording.MISSING if share is None else f"{100 * share:.2f}"


def protocol(jobs: Jobs, frames: int | None = None, batch_size: int | None = None) -> dict[str, str]:
    """Return what is common to all reproductions of a setting, by name.

    Args:
        jobs: The reproduction.
        frames: Frames of each training, where they are not the budget's usual ones.
        batch_size: Frames of a batch, likewise.
    """
    setting, budget = jobs.setting, jobs.setting.budget
    frames = frames or budget.train_frames
    share = frames / PAPER_FRAMES
    fewer = (
        "" if share >= 1 else f": {100 * share:.2g} % of the paper's {PAPER_FRAMES / 1e6:.0f} million, for all alike"
    )
    schedule = {
        "warm-restarts": "cosine annealing with warm restarts every 5 epochs, the report's",
        "one-cycle": "one cycle, which gives more with few frames than the report's warm restarts",
    }[budget.schedule]
    return {
        "budget": budget.name,
        "data": jobs.frames.description,
        "frames of each training": f"{frames:,} in {budget.train_epochs} epochs{fewer}",
        "frames of each fine-tuning": f"{budget.tune_frames:,} in {budget.tune_epochs} epochs",
        "optimizer": f"{_optimizer(budget)}, batches of {batch_size or budget.batch_size}, {schedule}",
        "training SNRs": "-6 dB and more",
        "choices": f"on {sum(len(b.labels) for b in jobs.frames.validation):,} validation frames of all SNRs",
        "accuracy": f"on test frames of all 26 SNRs, {budget.test_per_cell} of each cell at most, gone through once; "
        "quantized networks as integers where they can be",
        "intervals": "Wilson's at 95 %: the chance of the frames drawn, not of the training",
        "paper's accuracies": f"on the real data; ours on {'the twin' if setting.data is None else 'the file'}",
        "seed": str(setting.seed),
    }


def _optimizer(budget: TableBudget) -> str:
    adam = f"Adam at {LEARNING_RATE}"
    if budget.optimizer == "adam":
        return adam
    return (
        f"Muon at {MATRIX_LEARNING_RATE} with {adam} from scratch, which needs less than half the frames of the "
        f"report's Adam; {adam} in fine-tunings"
    )
