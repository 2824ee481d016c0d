"""How a network was trained: its stages from drawn weights to the last fine-tuning, kept with the saved model.

A stage is plain data, the same for the same run: ``kind`` (``train`` or ``prune``), ``config`` (every setting),
``spec`` (the network trained), ``frames`` (training frames of this stage), ``validation_accuracy`` and ``curve`` (pairs
of frames and validation accuracy).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhaunet.errors import ModelFileError
from bacalhaunet.models.resolve import Kind, resolve_network
from bacalhaunet.models.saved import SavedModel, load_model
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.models.spec import NetworkSpec

if TYPE_CHECKING:
    from bacalhaunet.training.fit import FitResult

Stage = dict[str, Any]
"""One training as plain data; see the module."""

HISTORY, FRAMES_SEEN = "history", "frames_seen"
"""Where a saved model's metrics have the stages, and the training frames of all of them together."""

TRAINABLE: tuple[Kind, ...] = ("saved", "spec", "shipped", "catalog")
"""What a training may start from."""


def stage(
    kind: str,
    settings: Mapping[str, Any],
    spec: NetworkSpec,
    result: FitResult,
    **more: Any,
) -> Stage:
    """Describe one training.

    Args:
        kind: What was done: ``train``, ``prune`` or another command that trains.
        settings: Every setting, as plain values.
        spec: The network it trained.
        result: What it gave.
        more: Further plain values, such as a pruning step's.
    """
    return {
        "kind": kind,
        "config": dict(settings),
        "spec": spec.to_dict(),
        "frames": result.frames_seen,
        "validation_accuracy": result.validation_accuracy,
        "curve": [[point.frames, point.validation_accuracy] for point in result.curve],
        **more,
    }


def earlier_stages(network: str) -> list[Stage]:
    """Return the stages behind the network that a run's ``network`` setting names: none for a catalog name or a spec.

    A saved model of which nothing is known gives one stage that says so.
    """
    path = resolve_network(network, TRAINABLE, "a network to train").saved
    if path is None:
        return []
    try:
        return history_of(path)
    except ModelFileError as error:
        return [{"kind": "unknown", "config": {"network": network}, "frames": 0, "problem": error.problem}]


def saved_model_of(network: str) -> Path | None:
    """Return the saved model that a recorded ``network`` setting names, wherever it lies now; None for others.

    ``models.resolve`` says what a name means where a network is to be used.
    """
    if Path(network).suffix == ".safetensors":
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


def history_of(path: Path, saved: SavedModel | None = None) -> list[Stage]:
    """Return the stages of a saved model, first to last.

    Args:
        path: The saved model.
        saved: The model, if it was read already.

    Raises:
        ModelFileError: If the model cannot be read, or nothing says how it, or one it started from, was trained.
    """
    stages: list[Stage] = (saved or load_model(path)).metrics.get(HISTORY) or []
    if not stages:
        raise ModelFileError(
            "nothing says how this network was trained",
            where=str(path),
            allowed="a model saved by 'bacalhaunet train', 'prune' or 'compress'",
        )
    unknown = [stage for stage in stages if stage.get("kind") == "unknown"]
    if unknown:
        raise ModelFileError(f"it started from {unknown[0]['config']['network']}, of which nothing is known")
    return stages
