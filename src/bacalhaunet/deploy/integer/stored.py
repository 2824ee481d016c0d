"""Integer programs as text: JSON of their dataclasses, arrays as base64 of compressed little-endian numbers.

    from_text(to_text(program)) equals program in every number

Floats are written with as many digits as tell them apart. What follows from the rest, and is most of a program, is left
out and worked out again: the ranges of accumulators, and thresholds. Text from anywhere is safe to read: nothing in it
is run, and only the dataclasses of a program are made. What it says is checked by ``integer.check``.

An ONNX file keeps its program in the metadata, where it can be read without the package onnx, with the digest of the
graph it was lowered from: the program of a graph that another tool changed is passed over.
"""

from __future__ import annotations

import base64
import json
import math
import os
import tempfile
import zlib
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.check import check_program
from bacalhaunet.deploy.integer.layers import LAYERS
from bacalhaunet.deploy.integer.program import InputQuantizer, Program, Tensor
from bacalhaunet.deploy.integer.requantizers import REQUANTIZERS, Affine, LinearForm
from bacalhaunet.errors import ModelFileError, UnsupportedOperationError
from bacalhaunet.models.onnx_metadata import graph_digest, read_entries, with_entry

FORMAT = 1
"""Number of this way of writing; texts of another are not read."""

_CLASSES = {cls.__name__: cls for cls in (*LAYERS, *REQUANTIZERS, Affine, LinearForm, InputQuantizer, Program, Tensor)}
_INTEGERS = ("<i1", "<i2", "<i4", "<i8")
_READ_AS = {**dict.fromkeys(_INTEGERS, np.int64), "<f8": np.float64, "|b1": np.bool_}
_MOST_NUMBERS = 1 << 24


def to_text(program: Program) -> str:
    """Return a program as text."""
    layers = tuple(layer.without_derived() for layer in program.layers)
    return json.dumps({"format": FORMAT, "program": _written(replace(program, layers=layers))}, separators=(",", ":"))


def from_text(text: str) -> Program:
    """Return the program of a text.

    Raises:
        ValueError: If it is damaged, of another format, or of something else.
    """
    try:
        document = json.loads(text)
        found = _read(document["program"]) if document["format"] == FORMAT else None
        if not isinstance(found, Program):
            raise ValueError("of another format, or of something else")
        with np.errstate(all="ignore"):  # numbers may be anything yet
            layers = tuple(layer.with_derived(found.tensors) for layer in found.layers)
    except (LookupError, TypeError, AttributeError, ValueError, zlib.error, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not the text of an integer program: {error}") from error
    return replace(found, layers=layers)


def _written(value: Any) -> Any:
    if is_dataclass(value):
        return {"class": type(value).__name__, **{f.name: _written(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, np.ndarray):
        return _written_array(value)
    if isinstance(value, dict):
        return {"map": {key: _written(one) for key, one in value.items()}}
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def _written_array(array: NDArray[Any]) -> dict[str, Any]:
    kind = {"f": "<f8", "b": "|b1"}.get(array.dtype.kind)
    if kind is None:  # the smallest integers that hold all
        kind = next(one for one in _INTEGERS if (array == array.astype(one)).all())
    data = zlib.compress(np.ascontiguousarray(array, kind).tobytes(), 9)
    return {"array": base64.b64encode(data).decode(), "type": kind, "shape": list(array.shape)}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_read(one) for one in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return _read_array(**value)
    if "map" in value:
        return {key: _read(one) for key, one in value["map"].items()}
    given = dict(value)
    return _CLASSES[given.pop("class")](**{name: _read(one) for name, one in given.items()})


def _read_array(array: str, type: str, shape: list[int]) -> NDArray[Any]:
    size = math.prod(shape)
    if not all(isinstance(one, int) and one >= 0 for one in shape) or size > _MOST_NUMBERS:
        raise ValueError(f"an array of shape {shape}")
    wanted, length = _READ_AS[type], size * np.dtype(type).itemsize
    data = zlib.decompressobj().decompress(base64.b64decode(array), length + 1)  # never more than it should be
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes for an array of shape {shape}")
    return np.frombuffer(data, type).reshape(shape).astype(wanted)


ENTRY = "integer_program"
"""Key of the entry. Its value is the digest of the graph, a space, and the program's text."""


def with_program(model: bytes) -> bytes:
    """Return an ONNX model with its integer program in the metadata; as it is if it has no integer form."""
    from bacalhaunet.deploy.integer.lowering import lower_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        path.write_bytes(model)
        try:
            program = lower_file(path)
        except (ModelFileError, UnsupportedOperationError):
            return model
    return with_entry(model, ENTRY, f"{graph_digest(model)} {to_text(replace(program, source=''))}")


def stored_program(path: str | os.PathLike[str]) -> Program | None:
    """Return the program that a file holds; None if there is none, it is damaged, or the graph is another by now."""
    try:
        model = Path(path).read_bytes()
    except OSError:
        return None
    digest, _, text = read_entries(model).get(ENTRY, "").partition(" ")
    if not text or digest != graph_digest(model):
        return None
    try:
        program = from_text(text)
        check_program(program)
    except ValueError:
        return None
    return replace(program, source=str(path))
