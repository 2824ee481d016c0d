"""Compiles emitted C into a shared library and runs frames through it, keeping every activation."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bacalhaunet.deploy.emitters import write_program
from bacalhaunet.deploy.emitters.c.emitter import rename
from bacalhaunet.deploy.emitters.c.tables import build_tables

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
HERE = Path(__file__).parent


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")


def run(*command, cwd=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class CompiledModel:
    """Emitted C under a compiler, with the trace of its tensors."""

    def __init__(self, program, folder, compiler, options=("-O1",)):
        self.program, self.tables = program, build_tables(program)
        write_program(program, folder, name="net", vectors=1)
        (folder / "trace.c").write_text(rename((HERE / "trace.c").read_text(), "net"))
        library = folder / f"{compiler}.so"
        run(compiler, *WARNINGS, *options, "-DNET_TRACE", "-shared", "-fPIC", "net.c", "trace.c", "-o", library,
            cwd=folder)  # fmt: skip
        self.library = ctypes.CDLL(str(library))
        self.columns = {}
        for number, table in enumerate(self.tables.tensors[1:], start=1):
            columns = np.zeros((table.length, len(table.stored)), np.uint8)
            self.columns[table.name] = columns
            self.library.trace_into(number, columns.ctypes.data_as(ctypes.c_void_p), len(table.stored))

    def classify(self, integers):
        """Return class, logits and all stored activations of one frame of integers (2, length)."""
        low = self.program.tensors[self.program.input].format_low
        samples = np.ascontiguousarray(integers, np.int8 if low < 0 else np.uint8)
        whole, streamed = (np.zeros(self.program.classes, np.int32) for _ in range(2))
        pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (samples[0], samples[1], whole, streamed)]
        best = self.library.trace_frame(*pointers)
        np.testing.assert_array_equal(whole, streamed)
        zeros = {table.name: table.zero for table in self.tables.tensors}
        return best, whole, {name: c.astype(int).T - zeros[name] for name, c in self.columns.items()}
