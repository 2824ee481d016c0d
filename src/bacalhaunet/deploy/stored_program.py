"""The integer program of an ONNX file, kept in its metadata, where it can be read without the package onnx.

The entry holds the digest of the graph it was lowered from: of a graph that another tool changed it is no more the
program, and is passed over.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from bacalhaunet.deploy.integer.check import check_program
from bacalhaunet.deploy.integer.program import Program
from bacalhaunet.deploy.integer.stored import from_text, to_text
from bacalhaunet.errors import ModelFileError, UnsupportedOperationError
from bacalhaunet.models.onnx_metadata import graph_digest, read_entries, with_entry

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
