"""Kernels of processors this one is not, run without Python: compiled with a small main program, under an emulator."""

import shutil
import struct
import subprocess
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

from bacalhaunet.deploy.native import plan as planning
from bacalhaunet.deploy.native.model import WITH_FOURS

HERE = Path(__file__).parent
KERNELS = Path(planning.__file__).parent / "kernels"
OPTIONS = ["-O1", "-std=gnu11", "-fno-math-errno", "-ffp-contract=off", f"-I{KERNELS}", f"-I{HERE}"]


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


@lru_cache
def build(compiler, *extra, sources=("engine.c", "portable.c")):
    """Compile the engine with its main program; returns the program's path."""
    binary = Path(mkdtemp()) / "standalone"
    files = [KERNELS / name for name in sources] + [HERE / "standalone.c"]
    command = [compiler, *OPTIONS, *extra, *map(str, files), "-lm", "-o", str(binary)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return binary


def write_model(path, plan, frames):
    """Write what standalone.c reads."""
    tables = plan.tables
    arrays, q = tables.arrays(), tables.quantizer
    real = frames.dtype == np.float32
    clipped = int(np.isfinite(q.clip_low) or np.isfinite(q.clip_high))
    head = [*map(len, arrays), len(tables.initial), tables.sums, tables.classes, clipped, *tables.rows,
            tables.frame_length, tables.code, len(frames), int(real)]  # fmt: skip
    samples = frames if real else frames.astype(np.int8 if frames.min() < 0 else np.uint8)
    with path.open("wb") as file:
        file.write(struct.pack("15i", *head))
        file.write(struct.pack("6f", q.scale, q.zero, q.clip_low, q.clip_high, q.low, q.high))
        for array in (*arrays, tables.initial, samples):
            file.write(np.ascontiguousarray(array).tobytes())


def assert_equal(program, kernels, command, folder, frames):
    """Compare every activation stored and every logit with the interpreter's, for real or integer frames."""
    plan = planning.plan_native(program, fours=kernels in WITH_FOURS)
    write_model(folder / "model", plan, frames)
    ended = subprocess.run([*map(str, command), kernels, "model", "output"], cwd=folder, check=False)
    assert ended.returncode == 0
    integers = program.quantizer.integers(frames) if frames.dtype == np.float32 else frames
    values, size = program.run(integers), len(plan.tables.initial)
    output = np.fromfile(folder / "output", np.uint8).reshape(len(frames), size + 4 * program.classes)
    for number, memory in enumerate(output):
        for name, rows in plan.placed.items():
            if name in plan.fused:
                continue
            reach = np.arange(program.tensors[name].length)
            found = memory[rows.offset[rows.channels][:, None] + reach].astype(int) - rows.zero
            np.testing.assert_array_equal(found, values[name][number][rows.channels], err_msg=name)
        logits = memory[size:].view(np.int32)
        np.testing.assert_array_equal(logits, values[program.output][number, :, 0])
