"""The native engine: any network with an integer form, run by prebuilt kernels; exact and the fastest on a CPU."""

from __future__ import annotations

import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.classify.engines import TargetKind, check_frames, cores, labels_for, register
from bacalhaunet.deploy.integer.program import Program
from bacalhaunet.deploy.integer.stored import stored_program
from bacalhaunet.deploy.native.layout import NativeTables
from bacalhaunet.deploy.native.model import FLOAT, NativeModel, load_extension
from bacalhaunet.deploy.native.plan import check_bytes
from bacalhaunet.errors import BacalhauNetError, ConfigError, MissingExtraError, how_to_install

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PRIORITY = 20
"""Above onnxruntime: what can be lowered runs natively unless another engine is asked for."""
_PART = 64
"""Fewest frames that are worth a thread of their own."""


class NativeEngine:
    """A network as an integer program, run by the kernels this processor does best.

    Every core works on its own frames; the interpreter's lock is released while it does.

    Args:
        target: An ONNX file, a saved model or the name of a network.
        kind: What kind of target it is.
        threads: CPU threads; None uses every core.
        kernels: ``"avx512"``, ``"avx2"`` or ``"portable"``; None for the best there is.

    Raises:
        ConfigError: If the kernels are not installed.
        MissingExtraError: If the file needs the package onnx, which is not there.
        UnsupportedOperationError: If the network has no integer form; says which node and what would mend it.
    """

    name = "native"

    def __init__(
        self, target: str, kind: TargetKind = "onnx", threads: int | None = None, *, kernels: str | None = None
    ) -> None:
        self.target = target
        program = lowered(target, kind)
        self._model = NativeModel(program, kernels)
        self.kernels = self._model.kernels
        unnamed = program.labels[:1] == ("class 0",)
        self.labels = labels_for(program.classes, target) if unnamed else program.labels
        self.frame_length = program.frame_length
        self._single = (1, 2, program.frame_length)
        self._threads = threads or cores()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def program(self) -> Program:
        """The integer program it runs."""
        return self._model.program

    @property
    def tables(self) -> NativeTables:
        """What the kernels run."""
        return self._model.plan.tables

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (n, classes) for float32 (n, 2, frame_length)."""
        if type(frames) is np.ndarray and frames.dtype is FLOAT and frames.shape == self._single:
            try:  # one frame, as a receiver has it: nothing to convert
                return self._model.logits(frames)
            except (ValueError, BufferError):  # not contiguous
                pass
        return self._spread(check_frames(frames, self.frame_length), self._model.logits)

    def logits_of_integers(self, samples: NDArray[np.int8]) -> NDArray[np.float32]:
        """Return float32 (n, classes) for samples that are quantized already, int8 (n, 2, frame_length).

        An integer v stands for v times the input quantizer's scale, ``program.quantizer.scale``; a quantizer without
        negative values takes uint8.

        Raises:
            ConfigError: If they are of another type or shape.
        """
        wanted = np.dtype(np.int8 if self.program.tensors[self.program.input].format_low < 0 else np.uint8)
        array = np.asarray(samples)
        if array.dtype != wanted or array.shape[1:] != self._single[1:]:
            raise ConfigError(
                f"samples of shape {array.shape} and type {array.dtype}",
                allowed=f"{wanted} of shape (n, 2, {self.frame_length}), I then Q",
            )
        tensor = self.program.tensors[self.program.input]
        low, high = int(array.min(initial=0)), int(array.max(initial=0))
        if low < tensor.format_low or high > tensor.format_high:
            raise ConfigError(
                f"integers from {low} to {high}",
                allowed=f"{tensor.format_low} to {tensor.format_high}, the levels of the input quantizer",
                action=f"divide by program.quantizer.scale ({self.program.quantizer.scale:.6g}), round and clip",
            )
        return self._spread(np.ascontiguousarray(array), self._model.logits_of_integers)

    def _spread(self, frames: NDArray[Any], run: Callable[[NDArray[Any]], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Run a batch on as many cores as it is worth."""
        parts = min(self._threads, len(frames) // _PART)
        if parts < 2:
            return run(frames)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="native")
        bounds = np.linspace(0, len(frames), parts + 1).astype(int)
        pieces = [frames[start:end] for start, end in pairwise(bounds)]
        return np.concatenate(list(self._pool.map(run, pieces)))


def lowered(target: str, kind: TargetKind) -> Program:
    """Return the integer program of a target; saved models and names are exported to QONNX on the way.

    Raises:
        MissingExtraError: If a package of the train extra is needed and missing.
        UnsupportedOperationError: If the network has no integer form.
    """
    try:
        stamp = Path(target).stat().st_mtime_ns if kind != "name" else 0
        return _lowered(target, kind, stamp)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"lowering {target} needs the package {error.name}: {how_to_install('train')}"
        ) from error


@lru_cache(maxsize=4)
def _lowered(target: str, kind: TargetKind, stamp: int) -> Program:
    if kind == "onnx":
        return stored_program(target) or _lowered_file(target)
    from bacalhaunet.deploy.export import export_qonnx
    from bacalhaunet.deploy.export_target import open_network

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        opened = open_network(target, quiet=True)
        path = Path(folder) / "network.onnx"
        export_qonnx(opened.network, path, spec=opened.spec, labels=opened.labels)
        return stored_program(path) or _lowered_file(str(path))


def _lowered_file(path: str) -> Program:
    from bacalhaunet.deploy.integer.lowering import lower_file

    return lower_file(path)


@lru_cache(maxsize=1)
def _say_missing() -> None:
    """Say once that a source install without a C compiler runs without the kernels."""
    print(
        "note: the native kernels are not installed (no C compiler at install time); using onnxruntime instead",
        file=sys.stderr,
    )


@lru_cache(maxsize=4)
def _say_not_stored(target: str) -> None:
    """Say once for a file with standard quantizers why the slower engine runs it; QONNX's do not run there at all."""
    if b"QuantizeLinear" not in Path(target).read_bytes():
        return
    print(
        f"note: {Path(target).name} holds no integer program and lowering it needs the package onnx; using "
        "onnxruntime, which is slower: export it again with this version, or pip install onnx",
        file=sys.stderr,
    )


def _runs(target: str, kind: TargetKind) -> bool:
    """Whether ``auto`` should take this engine: ONNX files that can be lowered, where the kernels are installed."""
    if kind != "onnx":
        return False
    if load_extension() is None:
        _say_missing()
        return False
    try:
        check_bytes(lowered(target, kind))
    except MissingExtraError:  # the core install cannot lower the file itself
        _say_not_stored(target)
        return False
    except BacalhauNetError:
        return False
    return True


def register_engine() -> None:
    """Enter the native engine in the table of engines."""

    def open_(target: str, kind: TargetKind, threads: int | None) -> NativeEngine:
        return NativeEngine(target, kind, threads)

    register("native", open_, targets=frozenset({"onnx", "saved", "name"}), runs=_runs, priority=PRIORITY)
