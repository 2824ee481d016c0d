"""The metadata of an ONNX file, read and written without the package onnx, which the core install lacks.

An ONNX file is a protocol buffer: a run of fields, each a number with its wire type, then its value (the encoding:
protobuf.dev/programming-guides/encoding; the numbers: onnx.proto3, ModelProto and StringStringEntryProto). Only the
fields of the outermost message are walked over; the graph is one of them and is skipped as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import RADIOML, classes_named

LABELS, GROUPS = "labels", "groups"
"""Entries with the names of a network's classes and the group of each, as JSON lists, in all its files."""

_GRAPH, _METADATA, _KEY, _VALUE = 7, 14, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Field(NamedTuple):
    number: int
    value: bytes
    start: int
    stop: int


def read_entries(model: bytes) -> dict[str, str]:
    """Return the entries of ``metadata_props`` by their key; empty if the bytes are no ONNX model."""
    try:
        return dict(_entry(field.value) for field in _fields(model, _GRAPH) if field.number == _METADATA)
    except (ValueError, IndexError):
        return {}  # whoever loads the graph says what is wrong with it


def with_entry(model: bytes, key: str, value: str) -> bytes:
    """Return a model with an entry of ``metadata_props`` set, every other byte as it was.

    Raises:
        ModelFileError: If the bytes are no ONNX model.
    """
    try:
        kept = [
            model[field.start : field.stop]
            for field in _fields(model, _GRAPH)
            if field.number != _METADATA or _entry(field.value)[0] != key
        ]
    except (ValueError, IndexError) as error:
        raise ModelFileError(f"not a readable ONNX file: {error}", action="export or copy it again") from error
    pair = _written(_KEY, key.encode()) + _written(_VALUE, value.encode())
    return b"".join([*kept, _written(_METADATA, pair)])


def graph_digest(model: bytes) -> str | None:
    """Return the SHA-256 of a model's graph as it is stored, which metadata have no part in; None if it has no one."""
    try:
        graphs = [model[field.start : field.stop] for field in _fields(model, _GRAPH) if field.number == _GRAPH]
    except (ValueError, IndexError):
        return None
    return hashlib.sha256(graphs[0]).hexdigest() if len(graphs) == 1 else None


def saved_entries(path: Path) -> dict[str, str]:
    """Return the entries in a saved model's header, without torch: 8 bytes of length, then JSON; none of a damaged one.

    Whoever loads the weights says what is wrong with the file.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(min(length, path.stat().st_size)))
            entries = header["__metadata__"]
        except (ValueError, KeyError, TypeError):
            return {}
    return {str(name): str(value) for name, value in entries.items()} if isinstance(entries, dict) else {}


def class_entries(classes: ClassSet) -> dict[str, str]:
    """Return the entries of a file that tell a network's classes; groups only where the names do not tell them."""
    entries = {LABELS: json.dumps(list(classes.names))}
    if classes != classes_named(classes.names):
        entries[GROUPS] = json.dumps(list(classes.group_of))
    return entries


def read_classes(entries: Mapping[str, str], where: str) -> ClassSet | None:
    """Return the classes that the entries of a file tell; None if they tell none.

    Raises:
        ModelFileError: If an entry is damaged.
    """
    if LABELS not in entries:
        return None
    lists = []
    for key in (LABELS, GROUPS):
        try:
            value = json.loads(entries.get(key, "[]"))
        except ValueError as error:
            raise ModelFileError(f"the {key!r} entry is not a JSON list: {error}", where=where) from error
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            found = f"the {key} in the file are {str(value)[:100]!r}"
            raise ModelFileError(found, where=where, allowed="a JSON list of texts")
        lists.append(value)
    try:
        return classes_named(*lists)
    except ConfigError as error:
        raise ModelFileError(error.problem, where=where, allowed=error.allowed) from error


def class_names(classes: int) -> tuple[str, ...]:
    """Return names for the classes of a network that has none: RadioML's 24, or "class 0", "class 1" ..."""
    return RADIOML.names if classes == len(RADIOML) else tuple(f"class {number}" for number in range(classes))


def labels_in(entries: Mapping[str, str], classes: int, where: str) -> tuple[str, ...] | None:
    """Return the class names that an ONNX file's metadata hold, the entry ``labels``; None if they hold none.

    Raises:
        ModelFileError: If it is no JSON list, or not one name for each class.
    """
    found = read_classes(entries, where)
    if found is not None and len(found) != classes:
        raise ModelFileError(f"the file names {len(found)} classes and gives {classes} logits", where=where)
    return None if found is None else found.names


def frame_length_in(entries: Mapping[str, str], where: str) -> int:
    """Return the frame length that an ONNX file's metadata state, for a graph that leaves the length free.

    Raises:
        ModelFileError: If neither the entry ``frame_length`` nor ``normalization``, as exports have it, states one.
    """
    try:
        stated = entries.get("frame_length") or json.loads(entries.get("normalization", "{}")).get("frame_length")
        length = int(stated or 0)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelFileError(f"the frame length in the metadata cannot be read: {error}", where=where) from error
    if length < 1:
        raise ModelFileError(
            "the network takes frames of any length and does not say which it was trained on",
            where=where,
            allowed="a fixed length of the input, or an entry 'frame_length' in the file's metadata",
            action="export it with the length of its frames",
        )
    return length


def _entry(value: bytes) -> tuple[str, str]:
    parts = {field.number: field.value.decode() for field in _fields(value)}
    return parts.get(_KEY, ""), parts.get(_VALUE, "")


def _fields(message: bytes, skipped: int | None = None) -> Iterator[_Field]:
    """Yield the fields of a message; of the number that is skipped, which may be large, without their bytes."""
    place = 0
    while place < len(message):
        start = place
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
        if kind == _BYTES:
            size, place = _varint(message, place)
        elif kind == _VARINT:
            _, place = _varint(message, place)
        elif kind not in (_FIXED64, _FIXED32):
            raise ValueError(f"wire type {kind} at byte {start}")
        stop = place + size
        if stop > len(message):
            raise ValueError(f"a field of {size} bytes at byte {start}, beyond the end")
        yield _Field(number, message[place:stop] if number != skipped else b"", start, stop)
        place = stop


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
        if shift > 63:
            raise ValueError(f"a number of more than 64 bits at byte {place}")


def _written(number: int, value: bytes) -> bytes:
    """Return a field of bytes in protocol buffer encoding."""
    head, rest = bytearray(), len(value)
    for part in (number << 3 | _BYTES, rest):
        while part > 0x7F:
            head.append(part & 0x7F | 0x80)
            part >>= 7
        head.append(part)
    return bytes(head) + value
