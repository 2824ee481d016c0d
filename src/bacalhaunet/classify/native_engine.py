"""The native engine: any network with an integer form, run by prebuilt kernels; exact and the fastest on a CPU."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.classify.engines import check_frames, cores, labels_for
from bacalhaunet.deploy.integer.program import Program
from bacalhaunet.deploy.native.layout import NativeTables
from bacalhaunet.deploy.native.model import FLOAT, NativeModel, load_extension
from bacalhaunet.deploy.native.plan import check_bytes
from bacalhaunet.deploy.networks import integer_program
from bacalhaunet.errors import BacalhauNetError, ConfigError, MissingExtraError
from bacalhaunet.models.resolve import NetworkSource, resolve_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_PART = 64
"""Fewest frames that are worth a thread of their own."""


class NativeEngine:
    """A network as an integer program, run by the kernels this processor does best.

    Every core works on its own frames; the interpreter's lock is released while it does.

    Args:
        source: A network, its file or its name; without an ONNX file it is exported on the way.
        threads: CPU threads; None uses every core.
        kernels: ``"avx512"``, ``"avx2"`` or ``"portable"``; None for the best there is.

    Raises:
        ConfigError: If the kernels are not installed.
        MissingExtraError: If the file needs the package onnx, which is not there.
        UnsupportedOperationError: If the network has no integer form; says which node and what would mend it.
    """

    name = "native"

    def __init__(self, source: NetworkSource | str, threads: int | None = None, *, kernels: str | None = None) -> None:
        source = resolve_network(source) if isinstance(source, str) else source
        self.target = str(source.onnx or source.saved or source.name)
        program = integer_program(source)
        self._model = NativeModel(program, kernels)
        self.kernels = self._model.kernels
        unnamed = program.labels[:1] == ("class 0",)
        self.labels = labels_for(program.classes, self.target) if unnamed else program.labels
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


def runs(source: NetworkSource) -> bool:
    """Whether ``auto`` should take this engine: ONNX files that can be lowered, where the kernels are installed."""
    if source.onnx is None:
        return False
    if load_extension() is None:
        _say_missing()
        return False
    try:
        check_bytes(integer_program(source))
    except MissingExtraError:  # the core install cannot lower the file itself
        _say_not_stored(str(source.onnx))
        return False
    except BacalhauNetError:
        return False
    return True
