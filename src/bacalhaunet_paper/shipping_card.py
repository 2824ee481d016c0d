"""The card of a shipped network: what it is, how it was trained, what was measured, all as plain data."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from bacalhaunet.classify.engines import cores
from bacalhaunet.cost.report import CostReport
from bacalhaunet.data.evaluation import Evaluation, wilson_interval
from bacalhaunet_paper.shipping_measurement import Split

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
