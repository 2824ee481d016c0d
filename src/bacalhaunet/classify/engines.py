"""Engines: what turns frames into class logits, behind one protocol, opened by name or file.

    engine = open_engine("network.onnx")
    logits = engine.logits(frames)        # float32 (n, 2, frame_length) -> float32 (n, classes)

An engine kind is a row of ``ENGINES``; adding one is calling ``register``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from bacalhaunet.errors import ConfigError, MissingExtraError, ModelFileError, how_to_install
from bacalhaunet.models.resolve import NetworkSource, resolve_network
from bacalhaunet.radio.modulations import NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        open: ``open(source, threads)`` makes the engine. ``threads`` None means all cores.
        opens: Whether it can open a network of that source at all.
        runs: Whether ``"auto"`` should take it, without opening it: the first kind that says yes is taken.
        priority: Kinds of a higher number are tried first by ``"auto"``.
    """

    open: Callable[[NetworkSource, int | None], Engine]
    opens: Callable[[NetworkSource], bool]
    runs: Callable[[NetworkSource], bool]
    priority: int


ENGINES: dict[str, EngineKind] = {}
"""The engine kinds by name."""


def register(
    name: str,
    open_: Callable[[NetworkSource, int | None], Engine],
    *,
    opens: Callable[[NetworkSource], bool],
    runs: Callable[[NetworkSource], bool] = lambda source: True,
    priority: int = 0,
) -> None:
    """Add a kind of engine, or replace the one of that name."""
    ENGINES[name] = EngineKind(open_, opens, runs, priority)


def open_engine(
    target: str | os.PathLike[str] | NetworkSource, engine: str = "auto", *, threads: int | None = None
) -> Engine:
    """Open a network for classification.

    Args:
        target: An ONNX file (QONNX, QCDQ or float), a saved model, the folder of a run, or a network's name.
        engine: A key of ``ENGINES``, or ``"auto"``: the fastest kind that computes the network exactly.
        threads: CPU threads; None uses every core this process may run on.

    Raises:
        ConfigError: If the engine is unknown, cannot open this kind of network, or ``threads`` is not positive.
        ModelFileError: If the file does not exist or is damaged.
        SpecError: If no network has that name.
        MissingExtraError: If it needs packages of an extra that is not installed.

    Example:
        >>> engine = open_engine("lite")
        >>> engine.logits(np.zeros((3, 2, 1024), np.float32)).shape
        (3, 24)
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"{threads} threads", allowed="1 or more, or none given for all cores")
    _register_builtin()
    source = target if isinstance(target, NetworkSource) else resolve_network(target)
    if engine != "auto":
        return _kind(engine, source).open(source, threads)
    for kind in sorted(ENGINES.values(), key=lambda entry: -entry.priority):
        if kind.opens(source) and kind.runs(source):
            return kind.open(source, threads)
    raise ModelFileError(
        "no engine runs this network", where=source.name, allowed=f"what one of {', '.join(ENGINES)} runs"
    )


def _kind(engine: str, source: NetworkSource) -> EngineKind:
    if engine not in ENGINES:
        raise ConfigError(f"no engine is called {engine!r}", allowed=f"auto, {', '.join(ENGINES)}")
    if not ENGINES[engine].opens(source):
        able = [name for name, entry in ENGINES.items() if entry.opens(source)]
        raise ConfigError(
            f"the engine {engine!r} does not open this kind of network",
            where=source.name,
            allowed=f"auto, {', '.join(able)}",
        )
    return ENGINES[engine]


def _register_builtin() -> None:
    """Register the engines of this package. Their modules import heavy packages only when they open something."""
    if ENGINES:
        return
    from bacalhaunet.classify import native_engine, onnx_engine

    def torch_opens(source: NetworkSource) -> bool:
        return source.kind != "onnx"

    register("native", native_engine.NativeEngine, opens=lambda source: True, runs=native_engine.runs, priority=20)
    register("onnxruntime", onnx_engine.OnnxRuntimeEngine, opens=onnx_engine.opens, priority=10)
    register("torch", TorchEngine, opens=torch_opens, priority=0)


class TorchEngine:
    """A network run by torch on the CPU in evaluation mode: the very network that was trained.

    Args:
        source: A network with a saved model, or an architecture. That has no trained weights: it is initialised from a
            fixed seed, with a warning.
        threads: CPU threads; None leaves torch's setting.

    Raises:
        MissingExtraError: If torch is not installed.
        ModelFileError: If the file is damaged.
    """

    name = "torch"
    chunk = 64
    """Frames of one forward pass."""

    def __init__(self, source: NetworkSource, threads: int | None = None) -> None:
        self.target = str(source.saved) if source.kind == "saved" else source.name
        try:
            import torch
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{self.target} needs torch to run: {how_to_install('train')}",
                action="or use an exported network (.onnx)",
            ) from error
        from bacalhaunet.deploy.networks import open_network

        if threads is not None:
            torch.set_num_threads(threads)
        opened = open_network(source)
        self.labels = opened.labels
        self.frame_length = opened.spec.frame_length
        self._network = opened.network

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (n, classes) for float32 (n, 2, frame_length)."""
        import torch

        frames = check_frames(frames, self.frame_length)
        if len(frames) == 0:
            return np.empty((0, len(self.labels)), np.float32)
        with torch.inference_mode():
            parts = [self._network(part) for part in torch.from_numpy(frames).split(self.chunk)]  # type: ignore[no-untyped-call]
        return torch.cat(parts).numpy()


def labels_for(classes: int, target: str) -> tuple[str, ...]:
    """Return the names of a network's classes where its file has none: RadioML's 24 in the corrected order.

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
