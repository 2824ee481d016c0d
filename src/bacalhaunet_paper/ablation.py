"""Each ingredient of a compression left out once, at the same budget and target: what it was worth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bacalhaunet.compression.config import CompressConfig
from bacalhaunet.compression.path import PathStep
from bacalhaunet.compression.pipeline import compress, say
from bacalhaunet.data.evaluation import wilson_interval
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.resolve import MODEL_FILE
from bacalhaunet.outputs import write_text
from bacalhaunet.report.style import INK, MUTED, SERIES, new_figure, to_svg_file
from bacalhaunet.resume import DONE_FILE
from bacalhaunet.training.history import saved_model_of
from bacalhaunet.training.run import train
from bacalhaunet.training.run_data import TrainingData

WHOLE, ABLATION_PICTURE = "everything", "ablation.svg"

_BEFORE_PRUNING = ("start", "bits-", "allocation")

LEFT_OUT: dict[str, tuple[str, Callable[[CompressConfig], CompressConfig]]] = {
    "teacher": ("no teacher", lambda c: replace(c, distillation=None)),
    "gradual-bits": ("the last number of bits at once", lambda c: replace(c, bits=c.bits[-1:])),
    "bits-per-layer": (
        "the same bits in every layer",
        lambda c: replace(c, allocation=replace(c.allocation, factor=1.0)),
    ),
    "learned-steps": ("steps of weights from the largest weight", lambda c: replace(c, learned_steps=False)),
    "quantized-sums": ("residual sums at 32 bits", lambda c: replace(c, quantize_sums=False, shared_sums=False)),
    "prices": (
        "importance not divided by the marginal score",
        lambda c: replace(c, pruning=replace(c.pruning, score_aware=False)),
    ),
    "sensitivity": (
        "magnitude as importance",
        lambda c: replace(c, pruning=replace(c.pruning, importance="layer-rms")),
    ),
    "return": (
        "return of cut weights turned on, or off",
        lambda c: replace(c, pruning=replace(c.pruning, regrow=not c.pruning.regrow)),
    ),
    "schedule": ("pruned at once", lambda c: replace(c, pruning=replace(c.pruning, end=c.pruning.begin))),
}
"""What is left out, or done the other way, by name: in words, and the compression without it."""


@dataclass(frozen=True)
class AblationRow:
    """One compression.

    Attributes:
        name: What was left out, or ``everything``.
        title: The same in words.
        accuracy: Share of validation frames classified correctly.
        validation_frames: Their number.
        score: The challenge's score.
        frames: Training frames after the start.
    """

    name: str
    title: str
    accuracy: float
    validation_frames: int
    score: float
    frames: int


def variants(config: CompressConfig) -> dict[str, tuple[str, CompressConfig]]:
    """Return the whole compression and each with one ingredient less, by name, with a title.

    Epochs that fall away with an ingredient are given to the pruning. What it does not have is not left out.

    Raises:
        ConfigError: If it has no target score: only at the same score accuracies can be compared.
    """
    if config.target_score is None:
        raise ConfigError("an ablation without a target score", action="pass --target-score")
    found = {WHOLE: ("the whole compression", config)}
    for name, (title, without) in LEFT_OUT.items():
        changed = without(config)
        if changed != config:
            epochs = config.prune_epochs + _epochs_of_bits(config) - _epochs_of_bits(changed)
            found[name] = (title, replace(changed, prune_epochs=epochs))
    return found


def ablate(config: CompressConfig, folder: Path, *, data: TrainingData | None = None) -> list[AblationRow]:
    """Do each compression from the same start, going on where an earlier call stopped.

    Args:
        config: The whole compression.
        folder: Gets ``start``, a folder for each compression, ``ablation.json`` and ``ablation.md``.
        data: Frames, if they are open already; else those ``config`` names.
    """
    compressions = variants(config)
    trained = saved_model_of(config.network)
    start = str(trained)
    if trained is None:
        settings = replace(config.training(config.network, config.start_epochs), distillation=None)
        start = str(folder / "start" / MODEL_FILE)
        if not Path(start).is_file():
            train(settings, folder / "start", data=data, title="start")
    rows = []
    for name, (title, other) in compressions.items():
        say(f"{name}: {title}")
        if replace(other, pruning=config.pruning) == config:
            _take_steps(folder / WHOLE, folder / name)
        steps = compress(replace(other, network=start), folder / name, data=data)
        rows.append(_row(name, title, steps))
        write_rows(rows, folder)
    return rows


def _take_steps(whole: Path, other: Path) -> None:
    """Begin a compression of another pruning with the steps before that, which would come out the same."""
    if whole == other or other.exists():
        return
    steps = [place.parent for place in whole.glob(f"*/{DONE_FILE}") if place.parent.name.startswith(_BEFORE_PRUNING)]
    partial = other.with_name(f"{other.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for step in steps:
        shutil.copytree(step, partial / step.name)
    partial.rename(other)


def write_rows(rows: Sequence[AblationRow], folder: Path) -> None:
    """Write the table as JSON and Markdown."""
    write_text(folder / "ablation.json", json.dumps([asdict(row) for row in rows], indent=1))
    lines = ["| left out | accuracy, % | points | score | training frames |", "|---|---:|---:|---:|---:|"]
    for row in rows:
        points = "" if row is rows[0] else f"{100 * (row.accuracy - rows[0].accuracy):+.2f}"
        title = "nothing" if row.name == WHOLE else row.title
        lines.append(f"| {title} | {100 * row.accuracy:.2f} | {points} | {row.score:.5f} | {row.frames:,} |")
    lines += ["", f"Accuracy on {rows[0].validation_frames:,} validation frames; one seed."]
    write_text(folder / "ablation.md", "\n".join(lines) + "\n")


def draw_ablation(rows: Sequence[AblationRow], folder: Path) -> Path:
    """Draw accuracy with its interval for each ingredient left out into ``ablation.svg``, and return the file."""
    with new_figure(7.4, 0.9 + 0.38 * len(rows), grid=False) as (figure, axes):
        axes.axvline(100 * rows[0].accuracy, color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)))
        for place, row in enumerate(reversed(rows)):
            low, high = wilson_interval(round(row.accuracy * row.validation_frames), row.validation_frames)
            axes.plot([100 * low, 100 * high], [place] * 2, color=SERIES[0], linewidth=1.4)
            axes.plot(100 * row.accuracy, place, "o", color=INK if row.name == WHOLE else SERIES[0], markersize=6)
        titles = ["nothing left out" if row.name == WHOLE else row.title for row in reversed(rows)]
        axes.set_yticks(range(len(rows)), titles)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(f"validation accuracy, %\nscores up to {max(row.score for row in rows):.3g}")
        write_text(folder / ABLATION_PICTURE, to_svg_file(figure, "ablation"))
    return folder / ABLATION_PICTURE


def _epochs_of_bits(config: CompressConfig) -> int:
    return config.bits_epochs * (len(config.bits) + (config.allocation.factor < 1))


def _row(name: str, title: str, steps: Sequence[PathStep]) -> AblationRow:
    last = [step for step in steps if step.kept][-1]
    frames = sum(step.frames for step in steps)
    return AblationRow(name, title, last.accuracy, last.validation_frames, last.score, frames)
