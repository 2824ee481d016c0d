"""Integer programs as text: JSON of their dataclasses, arrays as base64 of compressed little-endian numbers.

    from_text(to_text(program)) equals program in every number

Floats are written with as many digits as tell them apart. What follows from the rest, and is most of a program, is left
out and worked out again: the ranges of accumulators, and thresholds. Text from anywhere is safe to read: nothing in it
is run, and only the dataclasses of a program are made. What it says is checked by ``integer.check``.

The integer program of an ONNX file, kept in its metadata, where it can be read without the package onnx.

The entry holds the digest of the graph it was lowered from: of a graph that another tool changed it is no more the
program, and is passed over.
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
from bacalhaunet.deploy.integer.program import (
    Affine,
    Conv,
    InputQuantizer,
    LinearForm,
    MaxPool,
    Program,
    Tensor,
    Thresholds,
    WideForm,
    accumulator_range,
    padded_taps,
)
from bacalhaunet.deploy.integer.thresholds import find_thresholds
from bacalhaunet.errors import ModelFileError, UnsupportedOperationError
from bacalhaunet.models.onnx_metadata import graph_digest, read_entries, with_entry

FORMAT = 1
"""Number of this way of writing; texts of another are not read."""

_CLASSES = {
    cls.__name__: cls
    for cls in (Affine, Conv, InputQuantizer, LinearForm, MaxPool, Program, Tensor, Thresholds, WideForm)
}
_INTEGERS = ("<i1", "<i2", "<i4", "<i8")
_READ_AS = {**dict.fromkeys(_INTEGERS, np.int64), "<f8": np.float64, "|b1": np.bool_}
_MOST_NUMBERS = 1 << 24
_MOST_LEVELS = 255
_INT32 = 2**31 - 1
_NOTHING = np.empty(0, np.int64)


def to_text(program: Program) -> str:
    """Return a program as text."""
    layers = tuple(_without_derived(layer) if isinstance(layer, Conv) else layer for layer in program.layers)
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
            layers = [_with_derived(one, found) if isinstance(one, Conv) else one for one in found.layers]
    except (LookupError, TypeError, AttributeError, ValueError, zlib.error, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not the text of an integer program: {error}") from error
    return replace(found, layers=tuple(layers))


def _without_derived(layer: Conv) -> Conv:
    form = layer.requantizer
    if isinstance(form, Thresholds):
        form = replace(form, values=_NOTHING)
    return replace(layer, acc_low=_NOTHING, acc_high=_NOTHING, requantizer=form)


def _with_derived(layer: Conv, program: Program) -> Conv:
    sources, output = [program.tensors[name] for name in layer.sources], program.tensors[layer.output]
    if max(layer.group_of) >= len(sources):
        raise ValueError(f"accumulators {layer.group_of} of {len(sources)} sources")
    padded = padded_taps(layer.kernel, layer.stride, layer.dilation, layer.pad, sources[0].length, output.length)
    low, high = accumulator_range(layer.weights, layer.group_of, sources, layer.groups, padded)
    if low.min() < -_INT32 or high.max() > _INT32:  # the search below might not end
        raise ValueError("accumulators beyond 32 bits")
    form = layer.requantizer
    if isinstance(form, Thresholds):
        if layer.affine.ceiling - layer.affine.floor > _MOST_LEVELS:
            raise ValueError(f"{layer.affine.ceiling - layer.affine.floor} levels")
        form = replace(form, values=find_thresholds(layer.affine, low[0], high[0]))
    return replace(layer, acc_low=low, acc_high=high, requantizer=form)


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
