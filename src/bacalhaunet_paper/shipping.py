"""From the run that trained a network to the three files that ship it: model, export and card."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from bacalhaunet.classify.calibration import write_calibration
from bacalhaunet.classify.engines import Engine, cores, open_engine
from bacalhaunet.classify.evaluation import predict
from bacalhaunet.cost.of import cost_of
from bacalhaunet.cost.report import FLOAT_BITS, CostReport
from bacalhaunet.data.evaluation import Evaluation, wilson_interval
from bacalhaunet.data.generated import VALIDATION_SEED
from bacalhaunet.deploy.export import export_network
from bacalhaunet.errors import ConfigError, ParityError
from bacalhaunet.models.catalog import CATALOG
from bacalhaunet.models.resolve import MODEL_FILE
from bacalhaunet.models.saved import SavedModel, load_model
from bacalhaunet.models.shipped_networks import FOLDER, ShippedNetwork, shipped_networks
from bacalhaunet.outputs import whole_file, write_text
from bacalhaunet.report.card import PROFILES, confused, high_snr_part, recipe_of
from bacalhaunet.training.history import Stage, history_of, saved_model_of, seen_from
from bacalhaunet_paper.shipping_measurement import PER_CELL, Split, fitted, measure

Card = dict[str, Any]

FORMAT = 1

_PACKAGES = ("bacalhaunet", "torch", "brevitas", "onnxruntime", "numpy")


def measured_part(evaluation: Evaluation, split: Split, engine: str) -> Card:
    """Return what the test split said: every figure follows from ``confusion``."""
    right = np.einsum("skk->sk", evaluation.counts).sum(axis=1)
    by_snr = {str(snr): int(count) for snr, count in zip(evaluation.snrs_db, right, strict=True)}
    per_snr = evaluation.frames // len(evaluation.snrs_db)
    return {
        "accuracy": evaluation.accuracy,
        "interval": list(evaluation.interval),
        "correct": evaluation.correct,
        "frames": evaluation.frames,
        "frames_per_cell": split.per_cell,
        "profile": split.profile,
        "test_seed": split.seed,
        "engine": engine,
        "correct_by_snr": by_snr,
        "accuracy_by_snr": {snr: count / per_snr for snr, count in by_snr.items()},
        "interval_by_snr": {snr: list(wilson_interval(count, per_snr)) for snr, count in by_snr.items()},
        "accuracy_by_modulation": evaluation.accuracy_by_modulation,
        "confusion": {str(snr): evaluation.confusion_at(snr).tolist() for snr in evaluation.snrs_db},
    }


def cost_part(cost: CostReport, files: Mapping[str, Path]) -> Card:
    """Return what the network costs: the challenge's figures, and bytes of the packed weights and of the files."""
    return {
        "score": cost.score,
        "bit_ops": cost.bit_ops,
        "bit_mem": cost.bit_mem,
        "weights": sum(layer.weights for layer in cost.layers),
        "nonzero_weights": sum(layer.nonzero_weights for layer in cost.layers),
        "bytes": {"weights": -(-cost.bit_mem // 8), **{kind: path.stat().st_size for kind, path in files.items()}},
        "sha256": {kind: digest(path) for kind, path in files.items()},
    }


def training_part(stages: Sequence[Mapping[str, Any]], recipe: Sequence[Card], teachers: Sequence[Card]) -> Card:
    """Return how it was trained: its stages, the learning curve over all of them, and the runs that make it again."""
    curve, before = [], 0
    for stage in stages:
        curve += [[before + frames, accuracy] for frames, accuracy in stage["curve"]]
        before += int(stage["frames"])
    return {
        "frames_seen": before,
        "seeds": [stage["config"]["seed"] for stage in stages],
        "profile": recipe[-1]["data"]["profile"],
        "snr_min_db": stages[-1]["config"]["data"]["snr_min_db"],
        "curve": curve,
        "teachers": list(teachers),
        "stages": [_short(stage) for stage in stages],
        "recipe": list(recipe),
    }


def _short(stage: Mapping[str, Any]) -> Card:
    """Return a stage without what the recipe or the curve has."""
    own = {key: value for key, value in stage.items() if key not in ("config", "spec", "curve")}
    return {**own, "seed": stage["config"]["seed"]}


def circumstances(words: Sequence[str]) -> Card:
    """Return when, where and with what the measurement was made."""
    return {
        "command": shlex.join(["bacalhaunet", *words]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def machine() -> str:
    """Name the processor, its cores that this process may use, and the GPU if torch has one."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{models[0] if models else platform.processor() or platform.machine()}, {cores()} cores"


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def card_text(card: Card) -> str:
    """Return a card as JSON, one line for each entry of the outermost two levels."""
    lines = []
    for key, value in card.items():
        if isinstance(value, dict) and value:
            inner = ",\n".join(f"  {json.dumps(name)}: {_line(part)}" for name, part in value.items())
            lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {_line(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _line(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Amounts:
    """How much a card is measured on.

    Attributes:
        test: Test frames of each modulation at each SNR label.
        parity: Validation frames likewise, on which the export is compared with torch.
        calibration: Validation frames likewise, which the calibration is fitted to and merged classes chosen on.
        signals: Signals of each modulation at every other SNR label, likewise.
    """

    test: int = PER_CELL
    parity: int = 4
    calibration: int = 40
    signals: int = 2


MEASUREMENTS = "measured"
"""Folder beside the model that keeps what was counted."""


def ship(
    run: Path,
    name: str,
    *,
    folder: Path = FOLDER,
    summary: str | None = None,
    profile: str | None = None,
    amounts: Amounts = Amounts(),
    words: Sequence[str] = ("ship",),
) -> Path:
    """Measure and export the network of a run, and write ``NAME.safetensors``, ``NAME.onnx`` and ``NAME.json``.

    Every figure of the card is computed here, from the files written here: nothing is taken from elsewhere. The export
    is QCDQ with a free batch, which onnxruntime runs without further packages. It is what is measured. The card is
    written last.

    Args:
        run: The folder of a training run, a saved model, or the name of a shipped network, which is measured and
            exported again by what the package does today; how it was trained is taken over from its card.
        name: Small letters, digits and hyphens; not a name of the catalog.
        folder: Where the three files go.
        summary: What the network is, in a few words; composed if None.
        profile: What makes the test frames; that of the training if None, the twin after a file of other origin.
        amounts: What is measured on how much; the command leaves it as it is.
        words: The command, for the card.

    Returns:
        The card.

    Raises:
        ConfigError: If the name cannot be used.
        ModelFileError: If the model cannot be read, or it is not known how it was trained.
        ParityError: If the export does not compute what torch computes, or costs something else.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or name in CATALOG:
        raise ConfigError(f"the name is {name!r}", allowed="small letters, digits and hyphens; no name of the catalog")
    path, counts, shipped = _found(run)
    saved = load_model(path)
    training = shipped.card["training"] if shipped else _training(path, saved)
    trained_on = training["profile"]
    split = Split(profile or (trained_on if trained_on in PROFILES else PROFILES[0]), amounts.test)
    with tempfile.TemporaryDirectory() as made:
        onnx = Path(made) / f"{name}.onnx"
        export_network(saved.network, onnx, "qcdq", spec=saved.spec, classes=saved.classes, dynamic_batch=True)
        cost = _cost(path, onnx)
        measured = _measured(path, onnx, split, amounts, counts)
        files = {"safetensors": path, "onnx": onnx}
        card: Card = {
            "format": FORMAT,
            "name": name,
            "summary": summary or compose_summary(saved, cost),
            **measured,
            **cost_part(cost, files),
            **{key: saved.metrics.get(key) for key in ("validation_accuracy", "validation_frames")},
            "training": training,
            "spec": saved.spec.to_dict(),
            "labels": list(saved.labels),
            "measured": circumstances(words),
        }
        for kind, content in {kind: file.read_bytes() for kind, file in files.items()}.items():
            with whole_file(folder / f"{name}.{kind}") as partial:
                partial.write_bytes(content)
    write_text(folder / f"{name}.json", card_text(card))
    return folder / f"{name}.json"


def _found(run: Path) -> tuple[Path, Path, ShippedNetwork | None]:
    """Return the saved model of a run, where its counts are kept, and the shipped network that it is if it is one."""
    shipped = None if run.exists() else shipped_networks().get(str(run))
    if shipped is not None:
        return shipped.model, Path("runs") / f"shipped-{run}" / MEASUREMENTS, shipped
    path = run / MODEL_FILE if run.is_dir() else run
    return path, path.parent / MEASUREMENTS, None


def _training(path: Path, saved: SavedModel) -> Card:
    """Describe how a saved model was trained, from its history and the folders of its runs."""
    stages = history_of(path, saved)
    return training_part(stages, recipe_of(path), _teachers(stages, path.parent))


def _measured(path: Path, onnx: Path, split: Split, amounts: Amounts, counts: Path) -> Card:
    """Compare an export with torch, measure and calibrate it, and write the calibration into it."""
    engine = open_engine(onnx)
    parity = _parity(path, engine, replace(split, per_cell=amounts.parity, seed=VALIDATION_SEED))
    print(f"{split.frames:,} test frames of the {split.profile} profile, {engine.name}", file=sys.stderr)
    evaluation = measure(engine, split, counts)
    heard = replace(split, per_cell=amounts.calibration, seed=VALIDATION_SEED)
    calibration = fitted(engine, heard, amounts.signals)
    groups = confused(measure(engine, heard, counts))
    write_calibration(onnx, calibration, onnx)  # metadata alone: the network stays the one that was measured
    return {
        **measured_part(evaluation, split, engine.name),
        "high_snr": high_snr_part(evaluation, groups),
        "calibration": calibration.to_dict(),
        "parity": parity,
    }


def compose_summary(saved: SavedModel, cost: CostReport) -> str:
    """Say in a few words what a network is: its blocks, its weights and their bits, the share that is not zero."""
    kinds = " and ".join(sorted({block.kind for block in saved.spec.blocks}))
    weights, kept = (sum(getattr(layer, what) for layer in cost.layers) for what in ("weights", "nonzero_weights"))
    bits = sorted({layer.weight_bits for layer in cost.layers})
    kind = "float weights" if bits == [FLOAT_BITS] else f"weights of {' and '.join(map(str, bits))} bits"
    share = "" if kept > 0.98 * weights else f", {100 * kept / weights:.0f} % of them not zero"
    return f"{len(saved.spec.blocks)} {kinds} blocks, {weights:,} {kind}{share}"


def _cost(path: Path, onnx: Path) -> CostReport:
    """Score the saved model by arithmetic and the export by its graph, which must agree."""
    cost, counted = cost_of(path), cost_of(onnx)
    if (cost.bit_ops, cost.bit_mem) != (counted.bit_ops, counted.bit_mem):
        raise ParityError(
            f"the model costs {cost.bit_ops} bit_ops and {cost.bit_mem} bit_mem, its export {counted.bit_ops} and "
            f"{counted.bit_mem}",
            where=str(path),
        )
    return cost


def _parity(path: Path, engine: Engine, split: Split) -> Card:
    """Compare the classes that the export and torch name."""
    frames = same = 0
    torch_engine = open_engine(path, "torch")
    for part in split.parts():
        for batch in split.batches(part):
            given = batch.frames.cpu().numpy()
            same += int((predict(engine, given) == predict(torch_engine, given)).sum())
            frames += len(given)
    if same < 0.99 * frames:
        raise ParityError(f"the export names torch's class on {same} of {frames} frames", where=engine.target)
    return {"engines": [engine.name, "torch"], "frames": frames, "same_class": same}


def _teachers(stages: Sequence[Stage], folder: Path) -> list[Card]:
    """Describe the teachers of all stages; one of unknown origin is an error."""
    found: dict[str, Mapping[str, Any]] = {}
    for stage in stages:
        teacher = (stage["config"].get("distillation") or {}).get("teacher")
        if teacher is not None and teacher not in found:
            path = seen_from(saved_model_of(teacher) or Path(teacher), folder)
            saved = load_model(path)
            history = history_of(path, saved)
            found[teacher] = {
                "network": teacher,
                "sha256": digest(path),
                "frames_seen": sum(int(one["frames"]) for one in history),
                "validation_accuracy": saved.metrics.get("validation_accuracy"),
            }
    return [dict(card) for card in found.values()]
