"""Each ingredient of the road left out once, at the same budget and target: what it was worth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bacalhaunet.compression.config import CompressConfig
from bacalhaunet.compression.path import PathStep
from bacalhaunet.compression.pipeline import compress, say
from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import write_text
from bacalhaunet.resume import DONE_FILE
from bacalhaunet.training.history import saved_model_of
from bacalhaunet.training.run import MODEL_FILE, train
from bacalhaunet.training.run_data import TrainingData

WHOLE = "everything"

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
    "sensitivity": ("magnitude as importance", lambda c: replace(c, pruning=replace(c.pruning, criterion="magnitude"))),
    "return": (
        "return of cut weights turned on, or off",
        lambda c: replace(c, pruning=replace(c.pruning, regrow=not c.pruning.regrow)),
    ),
    "schedule": ("pruned at once", lambda c: replace(c, pruning=replace(c.pruning, end=c.pruning.begin))),
}
"""What is left out, or done the other way, by name: in words, and the road without it."""


@dataclass(frozen=True)
class AblationRow:
    """One road.

    Attributes:
        name: What was left out, or ``everything``.
        title: The same in words.
        accuracy: Share of validation frames named rightly.
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
    """Return the whole road and each with one ingredient less, by name, with a title.

    Epochs that fall away with an ingredient are given to the pruning. What the road does not have is not left out.

    Raises:
        ConfigError: If the road has no target score: only at the same score accuracies can be compared.
    """
    if config.target_score is None:
        raise ConfigError("an ablation without a target score", action="pass --target-score")
    found = {WHOLE: ("the whole road", config)}
    for name, (title, without) in LEFT_OUT.items():
        changed = without(config)
        if changed != config:
            epochs = config.prune_epochs + _epochs_of_bits(config) - _epochs_of_bits(changed)
            found[name] = (title, replace(changed, prune_epochs=epochs))
    return found


def ablate(config: CompressConfig, folder: Path, *, data: TrainingData | None = None) -> list[AblationRow]:
    """Go each road from the same start, going on where an earlier call stopped.

    Args:
        config: The whole road.
        folder: Gets ``start``, a folder for each road, ``ablation.json`` and ``ablation.md``.
        data: Frames, if they are open already; else those ``config`` names.
    """
    roads = variants(config)
    trained = saved_model_of(config.network)
    start = str(trained)
    if trained is None:
        settings = replace(config.training(config.network, config.start_epochs), distillation=None)
        start = str(folder / "start" / MODEL_FILE)
        if not Path(start).is_file():
            train(settings, folder / "start", data=data, title="start")
    rows = []
    for name, (title, road) in roads.items():
        say(f"{name}: {title}")
        if replace(road, pruning=config.pruning) == config:
            _take_steps(folder / WHOLE, folder / name)
        steps = compress(replace(road, network=start), folder / name, data=data)
        rows.append(_row(name, title, steps))
        write_rows(rows, folder)
    return rows


def _take_steps(whole: Path, road: Path) -> None:
    """Begin a road that differs in its pruning alone with the steps before that, which would come out the same."""
    if whole == road or road.exists():
        return
    steps = [place.parent for place in whole.glob(f"*/{DONE_FILE}") if place.parent.name.startswith(_BEFORE_PRUNING)]
    partial = road.with_name(f"{road.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for step in steps:
        shutil.copytree(step, partial / step.name)
    partial.rename(road)


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


def _epochs_of_bits(config: CompressConfig) -> int:
    return config.bits_epochs * (len(config.bits) + (config.allocation.factor < 1))


def _row(name: str, title: str, steps: Sequence[PathStep]) -> AblationRow:
    last = [step for step in steps if step.kept][-1]
    frames = sum(step.frames for step in steps)
    return AblationRow(name, title, last.accuracy, last.validation_frames, last.score, frames)
