"""onnxruntime as an engine: any ONNX file, quantizer nodes included, computed as it was trained."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.classify.engines import check_frames, cores, labels_for
from bacalhaunet.deploy.onnx_lowering import make_session
from bacalhaunet.errors import (
    BacalhauNetError,
    MissingExtraError,
    ModelFileError,
    UnsupportedOperationError,
    how_to_install,
)
from bacalhaunet.models.onnx_metadata import frame_length_in, labels_in
from bacalhaunet.models.resolve import NetworkSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 16
"""Frames of one run. More leave the cache; measured best or within 5 % of it for all three reference networks."""

_UNKNOWN_OPERATION = ("is not a registered function/op", "No Op registered for", "Could not find an implementation")
_INPUT_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class _Graph:
    """A graph that onnxruntime can load, and what was found out about it."""

    content: bytes
    freed: bytes | None = None


class OnnxRuntimeEngine:
    """A network run by onnxruntime.

    Every core works on its own frames, with a single-threaded session shared between them: faster than threads inside
    the operators, and the result does not depend on the number of cores.

    Args:
        source: A network that has an ONNX file.
        threads: CPU threads; None uses every core.

    Raises:
        ModelFileError: If the file is damaged or its input or output is not a classifier's.
        UnsupportedOperationError: If it has operations onnxruntime does not know.
        MissingExtraError: If it is a QONNX file and the package onnx is missing.
    """

    name = "onnxruntime"

    def __init__(self, source: NetworkSource, threads: int | None = None) -> None:
        self.target = target = str(source.onnx)
        graph = _load(target)
        self._session = _open_session(graph.content, target)
        self._check_signature()
        if graph.freed is not None:
            self._use_free_batch(graph.freed)
        classes = self._run(np.zeros((self._batch or 1, 2, self.frame_length), np.float32)).shape[1]
        self.labels = labels_in(self._entries(), classes, target) or labels_for(classes, target)
        workers = threads or cores()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="onnxruntime") if workers > 1 else None

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (n, classes) for float32 (n, 2, frame_length)."""
        frames = check_frames(frames, self.frame_length)
        if len(frames) == 0:
            return np.empty((0, len(self.labels)), np.float32)
        size = self._batch or CHUNK
        chunks = [frames[start : start + size] for start in range(0, len(frames), size)]
        if self._pool is None or len(chunks) == 1:
            results = [self._run(chunk) for chunk in chunks]
        else:
            results = list(self._pool.map(self._run, chunks))
        return np.concatenate(results)

    def _entries(self) -> dict[str, str]:
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def _run(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(frames)
        if self._batch and count < self._batch:  # the last frames of a graph with a fixed batch
            frames = np.concatenate([frames, np.zeros((self._batch - count, *frames.shape[1:]), np.float32)])
        shaped = frames.reshape(len(frames), *self._shape).astype(self._dtype, copy=False)
        try:
            output = self._session.run([self._output], {self._input: shaped})[0]
        except Exception as error:  # onnxruntime's errors have no public common class
            raise ModelFileError(f"onnxruntime cannot run the network: {error}", where=self.target) from error
        return np.asarray(output, np.float32).reshape(len(frames), -1)[:count]

    def _check_signature(self) -> None:
        """Find the input that takes frames and the output that gives logits."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        sizes = [size for size in shape[1:] if size != 1]
        free = bool(shape) and not isinstance(sizes[-1] if sizes else 0, int)
        length = frame_length_in(self._entries(), self.target) if free else (sizes[-1] if sizes else 0)
        fits = len(sizes) == 2 and sizes[0] == 2 and length >= 1 and inputs[0].type in _INPUT_TYPES
        if not fits or len(outputs) != 1:
            found = ", ".join(f"{value.name} {value.type} {value.shape}" for value in inputs)
            raise ModelFileError(
                f"the network takes {found or 'no input'} and gives {len(outputs)} outputs",
                where=self.target,
                allowed="one input of float frames (batch, 2, length), one output of logits (batch, classes)",
            )
        self._input, self._output = inputs[0].name, outputs[0].name
        self._dtype = _INPUT_TYPES[inputs[0].type]
        self.frame_length = int(length)
        self._shape = tuple(self.frame_length if not isinstance(size, int) else size for size in shape[1:])
        self._batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None

    def _use_free_batch(self, freed: bytes) -> None:
        """Take the graph with a free batch if it gives for two frames what the fixed one gives for each."""
        frames = np.random.default_rng(2018).standard_normal((2, 2, self.frame_length)).astype(np.float32)
        size = self._batch or 1
        single = np.concatenate([self._run(frame[None]) for frame in frames])
        fixed_session = self._session
        try:
            self._session, self._batch = _open_session(freed, self.target), None
            together = self._run(frames)
            same = together.shape == single.shape and np.allclose(together, single, rtol=1e-4, atol=1e-4)
        except BacalhauNetError:
            same = False
        if not same:
            self._session, self._batch = fixed_session, size


def _open_session(graph: bytes, target: str) -> Any:
    try:
        return make_session(graph)
    except Exception as error:  # onnxruntime's errors have no public common class
        message = str(error)
        unknown = any(words in message for words in _UNKNOWN_OPERATION)
        if unknown and find_spec("onnx") is None and re.search(r"\b(Quant|BipolarQuant|Trunc)\b", message):
            raise MissingExtraError(
                f"{target} has QONNX quantizers, which need the package onnx: {how_to_install('train')}",
                action="or export it as QCDQ where that is installed: bacalhaunet export ... --format qcdq",
            ) from error
        if unknown:
            raise UnsupportedOperationError(
                f"onnxruntime does not know an operation of the network: {message}",
                where=target,
                allowed="standard ONNX operators and QONNX quantizers",
            ) from error
        raise ModelFileError(
            f"onnxruntime cannot load the network: {message}", where=target, action="export or copy the file again"
        ) from error


def _load(target: str) -> _Graph:
    """Read a file; where the package onnx is there, lower its quantizers and prepare a free batch."""
    if find_spec("onnx") is None:
        return _Graph(Path(target).read_bytes())
    from bacalhaunet.deploy.onnx_lowering import free_batch, has_quant, lower_quant
    from bacalhaunet.models.onnx_files import read_onnx

    model = read_onnx(target)
    lowered = lower_quant(model, linear=True) if has_quant(model) else model
    first = next((value for value in lowered.graph.input), None)
    dimensions = first.type.tensor_type.shape.dim if first is not None else []
    fixed = bool(dimensions) and dimensions[0].HasField("dim_value") and dimensions[0].dim_value == 1
    freed = free_batch(lowered).SerializeToString() if fixed else None
    return _Graph(lowered.SerializeToString(), freed)


def opens(source: NetworkSource) -> bool:
    """Whether a network has an ONNX file."""
    return source.onnx is not None
