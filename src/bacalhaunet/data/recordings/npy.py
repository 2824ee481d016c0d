"""Arrays of complex samples, of I and Q values, or of ready frames, in numpy's .npy files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sample_types import SampleType, numpy_type
from bacalhaunet.data.recordings.stores import FortranFrames, Interleaved, Planar, SampleStore
from bacalhaunet.errors import RecordingError

SHAPES = "complex (N,) or (1, N); real (N, 2) or (2, N); real frames (n, 2, length)"


def open_npy(path: Path, type_: str | None, channel: int) -> Recording:
    """Open a .npy file without loading it; nothing in it is executed.

    An array (2, 2) is taken as two samples of I and Q.

    Raises:
        RecordingError: If the file is damaged, truncated, or its array is of another kind.
    """
    if type_ is not None or channel:
        raise RecordingError("a .npy file says its own type and has one channel", where=str(path), action="drop --type")
    shape, fortran, dtype, offset = _header(path)
    kind = numpy_type(dtype)
    complex_ = dtype.kind == "c"
    if kind is None or not _fits(shape, complex_):
        raise RecordingError(f"the array is {dtype} {shape}", where=str(path), allowed=SHAPES)
    count = math.prod(shape) // (1 if complex_ else 2)
    if count == 0:
        raise RecordingError("the recording is empty", where=str(path), allowed="one sample or more")
    needed, size = offset + math.prod(shape) * dtype.itemsize, path.stat().st_size
    if size < needed:
        raise RecordingError(
            f"the array {shape} needs {needed} bytes and the file has {size}",
            where=str(path),
            action="the file is truncated: copy or write it again",
        )
    frame_length = shape[2] if len(shape) == 3 else None
    return Recording(path, _store(path, kind, shape, offset, fortran, complex_), frame_length=frame_length)


def _store(
    path: Path, kind: SampleType, shape: tuple[int, ...], offset: int, fortran: bool, complex_: bool
) -> SampleStore:
    if complex_:
        return Interleaved(path, kind, math.prod(shape), ((0, offset),))
    count = math.prod(shape) // 2
    if len(shape) == 3 and fortran:
        return FortranFrames(path, kind, offset, (shape[0], shape[2]))
    if len(shape) == 3:
        return Planar(path, kind, count, offset, shape[2])
    # (N, 2) in Fortran order lies in the file as (2, N) in C order does, and the reverse.
    if (shape[1] == 2) != fortran:
        return Interleaved(path, kind, count, ((0, offset),))
    return Planar(path, kind, count, offset, count)


def _fits(shape: tuple[int, ...], complex_: bool) -> bool:
    if complex_:
        return len(shape) == 1 or (len(shape) == 2 and shape[0] == 1)
    return (len(shape) == 2 and 2 in shape) or (len(shape) == 3 and shape[1] == 2)


def _header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version not in readers:
                raise ValueError(f"version {version} of the format")
            shape, fortran, dtype = readers[version](file)
            if any(size < 0 for size in shape):
                raise ValueError(f"shape {shape}")
            return shape, fortran, dtype, file.tell()
    except OSError:
        raise
    except Exception as error:  # numpy parses the header as Python text: damaged ones raise errors of many kinds
        raise RecordingError(
            f"not a readable .npy file: {str(error)[:200]}", where=str(path), action="write it with numpy.save"
        ) from error
