"""Engines: what turns frames into class logits, behind one protocol, opened by name or file.

    engine = open_engine("network.onnx")
    logits = engine.logits(frames)        # float32 (n, 2, 1024) -> float32 (n, 24)

An engine kind is a row of ``ENGINES``; adding one is calling ``register``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.radio.modulations import NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

TargetKind = Literal["onnx", "saved", "name"]


@runtime_checkable
class Engine(Protocol):
    """A network ready to classify frames.

    Attributes:
        name: The engine kind, as ``--engine`` takes it.
        target: The file or network it runs.
        labels: Class names by logit.
        frame_length: Complex samples of a frame.
    """

    name: str
    target: str
    labels: tuple[str, ...]
    frame_length: int

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (n, classes) for float32 (n, 2, frame_length), I then Q; any n, 0 included."""


@dataclass(frozen=True)
class EngineKind:
    """One kind of engine.

    Attributes:
        targets: The kinds of target it can open.
        open: ``open(target, kind, threads)`` makes the engine. ``threads`` None means all cores.
        runs: Whether it can run a given target, without opening it: ``"auto"`` takes the first kind that says yes.
        priority: Kinds of a higher number are tried first by ``"auto"``.
    """

    targets: frozenset[TargetKind]
    open: Callable[[str, TargetKind, int | None], Engine]
    runs: Callable[[str, TargetKind], bool]
    priority: int


ENGINES: dict[str, EngineKind] = {}
"""The engine kinds by name."""


def register(
    name: str,
    open_: Callable[[str, TargetKind, int | None], Engine],
    *,
    targets: frozenset[TargetKind],
    runs: Callable[[str, TargetKind], bool] = lambda target, kind: True,
    priority: int = 0,
) -> None:
    """Add a kind of engine, or replace the one of that name."""
    ENGINES[name] = EngineKind(targets, open_, runs, priority)


def target_kind(target: str | os.PathLike[str]) -> TargetKind:
    """Say what a target is: an ONNX file, a saved model (.safetensors) or the name of a network.

    Raises:
        ModelFileError: If it is neither an existing file of one of these kinds nor spelt as a name.
    """
    path = Path(target)
    suffix = path.suffix.lower()
    if suffix not in (".onnx", ".safetensors"):
        if path.is_file():
            raise ModelFileError(
                f"a file ending in {suffix or 'nothing'!r} is not a network",
                where=str(path),
                allowed="an ONNX file (.onnx), a saved model (.safetensors) or a network's name",
            )
        if os.sep not in str(target):
            return "name"
    if not path.is_file():
        raise ModelFileError(
            "the network file does not exist" if not path.is_dir() else "a folder is not a network file",
            where=str(path),
            action="check the path; 'bacalhaunet models' lists the networks that go by name",
        )
    return "onnx" if suffix == ".onnx" else "saved"


def open_engine(target: str | os.PathLike[str], engine: str = "auto", *, threads: int | None = None) -> Engine:
    """Open a network for classification.

    Args:
        target: An ONNX file (QONNX, QCDQ or float), a saved model, or the name of a shipped or catalog network.
        engine: A key of ``ENGINES``, or ``"auto"``: the fastest kind that computes the target exactly.
        threads: CPU threads; None uses every core this process may run on.

    Raises:
        ConfigError: If the engine is unknown, cannot open this kind of target, or ``threads`` is not positive.
        ModelFileError: If the target does not exist or is damaged.
        MissingExtraError: If it needs packages of an extra that is not installed.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"{threads} threads", allowed="1 or more, or none given for all cores")
    _register_builtin()
    kind = target_kind(target)
    name = str(target)
    shipped = shipped_networks().get(name) if kind == "name" and engine != "torch" else None
    if shipped is not None:  # its export runs without torch, and faster
        name, kind = str(shipped.onnx), "onnx"
    if engine != "auto":
        return _named(engine, name, kind).open(name, kind, threads)
    for chosen in sorted(ENGINES.values(), key=lambda entry: -entry.priority):
        if kind in chosen.targets and chosen.runs(name, kind):
            return chosen.open(name, kind, threads)
    raise ModelFileError("no engine runs this network", where=name, allowed=f"what one of {', '.join(ENGINES)} runs")


def _named(engine: str, target: str, kind: TargetKind) -> EngineKind:
    if engine not in ENGINES:
        raise ConfigError(f"no engine is called {engine!r}", allowed=f"auto, {', '.join(ENGINES)}")
    chosen = ENGINES[engine]
    if kind not in chosen.targets:
        able = [name for name, entry in ENGINES.items() if kind in entry.targets]
        raise ConfigError(
            f"the engine {engine!r} does not open this kind of network",
            where=target,
            allowed=f"auto, {', '.join(able)}",
        )
    return chosen


def _register_builtin() -> None:
    """Register the engines of this package. Their modules import heavy packages only when they open something."""
    if ENGINES:
        return
    from bacalhaunet.classify import engines_onnx, engines_torch, native_engine

    native_engine.register_engine()
    engines_onnx.register_engine()
    engines_torch.register_engine()


def labels_for(classes: int, target: str) -> tuple[str, ...]:
    """Return the names of a network's classes where its file has none: the 24 modulations in the corrected order.

    Raises:
        ModelFileError: If the network has another number of classes.
    """
    if classes != len(NAMES):
        raise ModelFileError(
            f"the network has {classes} classes and no names for them",
            where=target,
            allowed=f"{len(NAMES)} classes, or a 'labels' entry (a JSON list) in the file's metadata",
        )
    return NAMES


def check_frames(frames: NDArray[np.float32], frame_length: int) -> NDArray[np.float32]:
    """Return frames as contiguous float32.

    Raises:
        ConfigError: If they are not real numbers of shape (n, 2, frame_length).
    """
    array = np.asarray(frames)
    if array.ndim != 3 or array.shape[1:] != (2, frame_length) or array.dtype.kind not in "fiu":
        raise ConfigError(
            f"frames of shape {array.shape} and type {array.dtype}",
            allowed=f"real numbers of shape (n, 2, {frame_length}), I then Q",
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def cores() -> int:
    """The CPU cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
