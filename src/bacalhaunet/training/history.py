"""How a network was trained: its stages from drawn weights to the last fine-tuning, kept with the saved model.

A stage is plain data, the same for the same run: ``kind`` (``train`` or ``prune``), ``config`` (every setting),
``spec`` (the network trained), ``frames`` (training frames of this stage), ``validation_accuracy`` and ``curve`` (pairs
of frames and validation accuracy).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bacalhaunet.errors import ModelFileError
from bacalhaunet.models.saved import SavedModel, load_model
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.training.curve import CURVE_FILE, CurvePoint

Stage = dict[str, Any]
"""One training as plain data; see the module."""

HISTORY, FRAMES_SEEN = "history", "frames_seen"
"""Where a saved model's metrics have the stages, and the training frames of all of them together."""

_SAVED_SUFFIX = ".safetensors"


def stage(
    kind: str,
    settings: str,
    spec: NetworkSpec,
    frames: int,
    validation_accuracy: float,
    curve: Sequence[CurvePoint],
    **more: Any,
) -> Stage:
    """Describe one training.

    Args:
        kind: What was done: ``train``, ``prune`` or another command that trains.
        settings: Every setting, as YAML.
        spec: The network it trained.
        frames: Training frames it saw.
        validation_accuracy: Of the weights it kept.
        curve: Its validations.
        more: Further plain values, such as a pruning step's.
    """
    return {
        "kind": kind,
        "config": yaml.safe_load(settings),
        "spec": spec.to_dict(),
        "frames": frames,
        "validation_accuracy": validation_accuracy,
        "curve": [[point.frames, point.validation_accuracy] for point in curve],
        **more,
    }


def earlier_stages(network: str) -> list[Stage]:
    """Return the stages behind the network that a run's ``network`` setting names: none for a catalog name or a spec.

    A saved model of which nothing is known gives one stage that says so.
    """
    path = saved_model_of(network)
    if path is None:
        return []
    try:
        return history_of(path)
    except ModelFileError as error:
        return [{"kind": "unknown", "config": {"network": network}, "frames": 0, "problem": error.problem}]


def saved_model_of(network: str) -> Path | None:
    """Return the saved model that a ``network`` setting names by its path or as a shipped network; None for others."""
    if Path(network).suffix == _SAVED_SUFFIX:
        return Path(network)
    shipped = shipped_networks().get(network)
    return None if shipped is None else shipped.model


def seen_from(path: Path, folder: Path) -> Path:
    """Return the path of a file that the settings in a run folder name.

    A relative path was relative to where the run was started: that is looked for here, then in the folders above the
    run's.
    """
    if path.is_absolute() or path.is_file():
        return path
    return next((above / path for above in folder.resolve().parents if (above / path).is_file()), path)


def told(stages: Sequence[Stage]) -> dict[str, Any]:
    """Return the entries of a saved model's metrics that tell its history: the stages and all their frames."""
    return {HISTORY: list(stages), FRAMES_SEEN: sum(int(stage["frames"]) for stage in stages)}


def history_of(path: Path, saved: SavedModel | None = None) -> list[Stage]:
    """Return the stages of a saved model, first to last: those it tells itself, else those of the run folders.

    Args:
        path: The saved model. A model that tells nothing is looked for in the folder of the run that left it.
        saved: The model, if it was read already.

    Raises:
        ModelFileError: If the model cannot be read, or nothing says how it, or one it started from, was trained.
    """
    metrics = (saved or load_model(path)).metrics
    told_before = metrics.get(HISTORY)
    if isinstance(told_before, list) and told_before:
        unknown = [stage for stage in told_before if stage.get("kind") == "unknown"]
        if unknown:
            raise ModelFileError(f"it started from {unknown[0]['config']['network']}, of which nothing is known")
        return told_before
    return _from_folders(path, metrics, (saved or load_model(path)).spec)


def _from_folders(path: Path, metrics: Mapping[str, Any], spec: NetworkSpec) -> list[Stage]:
    """Read a history from the folders of runs, as they were left before saved models told theirs."""
    folder, step = path.parent, re.fullmatch(r"step-(\d+)", path.parent.name)
    settings = folder.parent / "config.yaml" if step else folder / "config.yaml"
    if not settings.is_file():
        raise ModelFileError(
            "nothing says how this network was trained",
            where=str(path),
            allowed="a model saved by 'bacalhaunet train' or 'prune', or one in the folder of such a run",
        )
    config = yaml.safe_load(settings.read_text(encoding="utf-8"))
    found = json.loads((folder / CURVE_FILE).read_text(encoding="utf-8"))
    curve = [CurvePoint(**point) for point in found]
    frames, accuracy = int(metrics[FRAMES_SEEN]), float(metrics["validation_accuracy"])
    before, more = str(config["network"]), {}
    if step:
        number = int(step[1])
        more = {"step": config.pop("steps")[number - 1]}
        if number > 1:
            before = str(folder.parent / f"step-{number - 1}" / path.name)
    start = saved_model_of(before)
    earlier = [] if start is None else history_of(seen_from(start, folder))
    own = stage("prune" if step else "train", yaml.safe_dump(config), spec, frames, accuracy, curve, **more)
    return [*earlier, own]
