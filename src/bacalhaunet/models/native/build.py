"""Compiling the training kernels on first use, and finding them again."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from bacalhaunet.cache import cache_folder

FOLDER = Path(__file__).parent
LAYERS = ("depthwise.c", "pointwise.c", "normalization.c", "quantization.c", "pooling.c")
SOURCES = (*LAYERS, "separable.c", "separable_backward.c")
HEADERS = ("rows.h", "parts.h", "depthwise.h", "separable.h")
SWITCH = "BACALHAUNET_NATIVE_TRAINING"
"""Environment variable; 0 keeps the kernels out and trains with torch alone, which computes the same."""

# Contraction and free rounding errors only: nothing that changes order of sums or hides values that are not numbers.
_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros")


@cache
def kernels(width: int = 8) -> ctypes.CDLL | None:
    """Return the compiled kernels; None without a C compiler with OpenMP, or if ``SWITCH`` is 0.

    Args:
        width: Floats of a vector, one of ``widths()``.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if os.environ.get(SWITCH, "1") == "0" or compiler is None:
        return None
    library = cache_folder() / f"training-{_key(compiler, width)}.so"
    try:
        if not library.is_file():
            _compile(compiler, library, width)
        loaded = ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError):
        return None
    loaded.quantize_backward.restype = ctypes.c_double
    _keep_memory()
    return loaded


@cache
def widths() -> tuple[int, ...]:
    """Return the floats of a vector that kernels can be compiled for here, most first."""
    return (16, 8) if "avx512f" in _processor().split() else (8,)


def _keep_memory() -> None:
    """Let glibc keep freed memory for the next step instead of giving it back to the system.

    A step frees and takes hundreds of megabytes; taken anew from the system, every page is cleared and mapped again,
    which was 40 % of a training step's time.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)


def _processor() -> str:
    """Return what the processor can do, or at least its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _key(compiler: str, width: int) -> str:
    """Name what the result depends on: sources, compiler, flags, width of vectors and processor."""
    files = [(FOLDER / name).read_bytes() for name in (*SOURCES, *HEADERS)]
    parts = [*files, compiler.encode(), " ".join(_FLAGS).encode(), str(width).encode(), _processor().encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _compile(compiler: str, library: Path, width: int) -> None:
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        sources = [str(FOLDER / name) for name in SOURCES]
        flags = [*_FLAGS, f"-DWIDTH={width}", "-fopenmp", "-shared", "-fPIC"]
        command = [compiler, *flags, *sources, "-o", str(made), "-lm"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        made.replace(library)
