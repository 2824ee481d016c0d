"""Recordings in raw files, numpy's .npy files and two-channel WAV files (I on the left, Q on the right).

A reader finds where the samples lie and of what type they are; slices of them are read later. For WAV this is shorter
than what a library would need around it: the standard library's ``wave`` knows neither floats nor RF64, the form of
files above 4 GB, and soundfile is one more dependency of the core.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sample_types import SampleType, numpy_type, sample_type
from bacalhaunet.data.recordings.stores import FortranFrames, Interleaved, Planar, SampleStore, whole_samples
from bacalhaunet.errors import RecordingError

SHAPES = "complex (N,) or (1, N); real (N, 2) or (2, N); frames, real (n, 2, length) or complex (n, length)"


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
    if kind is None or not _fits(shape, complex_, fortran):
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
    frames = len(shape) == 3 or (complex_ and len(shape) == 2 and shape[0] > 1)
    frame_length = shape[-1] if frames else None
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


def _fits(shape: tuple[int, ...], complex_: bool, fortran: bool) -> bool:
    if complex_:
        return len(shape) == 1 or (len(shape) == 2 and (shape[0] == 1 or not fortran))
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


RAW_ENDINGS: dict[str, str] = {
    ".cf32": "cf32_le",
    ".cfile": "cf32_le",
    ".fc32": "cf32_le",
    ".cf64": "cf64_le",
    ".fc64": "cf64_le",
    ".cs32": "ci32_le",
    ".ci32": "ci32_le",
    ".cs16": "ci16_le",
    ".ci16": "ci16_le",
    ".cu16": "cu16_le",
    ".cs8": "ci8",
    ".ci8": "ci8",
    ".cu8": "cu8",
}
"""Endings and the sample type they mean."""


def open_raw(path: Path, type_: str | None, channel: int) -> Recording:
    """Open a file of interleaved I and Q values without a header.

    Raises:
        RecordingError: If it is empty or not a whole number of samples, or the type is unknown.
    """
    if channel:
        raise RecordingError(f"channel {channel} of a raw file", where=str(path), allowed="0: raw files have one")
    kind = sample_type(type_ or RAW_ENDINGS[path.suffix.lower()], str(path))
    count = whole_samples(path, path.stat().st_size, kind.sample_bytes, kind.name)
    return Recording(path, Interleaved(path, kind, count))


_TYPES = {(1, 8): "cu8", (1, 16): "ci16_le", (1, 32): "ci32_le", (3, 32): "cf32_le", (3, 64): "cf64_le"}
_EXTENSIBLE = 0xFFFE
_UNKNOWN_SIZE = 0xFFFFFFFF


class _Chunk(NamedTuple):
    name: bytes
    offset: int
    size: int


def open_wav(path: Path, type_: str | None, channel: int) -> Recording:
    """Open a two-channel WAV or RF64 file of 8, 16 or 32 bit integers or 32 or 64 bit floats.

    Raises:
        RecordingError: If it is not WAV, truncated, has another number of channels or another type.
    """
    if type_ is not None or channel:
        raise RecordingError("a WAV file says its own type and is one signal", where=str(path), action="drop --type")
    size = path.stat().st_size
    form, data = b"", None
    with path.open("rb") as file:
        for chunk in _chunks(path, size):
            file.seek(chunk.offset)
            if chunk.name == b"fmt ":
                form = file.read(min(chunk.size, 40))
            elif chunk.name == b"data":
                data = chunk
    if len(form) < 16 or data is None:
        raise _not_wav(path, "no fmt chunk" if len(form) < 16 else "no data chunk")
    code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    if code == _EXTENSIBLE and len(form) >= 26:
        code = struct.unpack("<H", form[24:26])[0]
    if channels != 2 or (code, bits) not in _TYPES:
        raise RecordingError(
            f"the WAV file has {channels} channels of format {code}, {bits} bits",
            where=str(path),
            allowed="2 channels (I and Q) of 8, 16 or 32 bit integers or 32 or 64 bit floats",
            action="convert it, for example with sox",
        )
    kind = sample_type(_TYPES[code, bits])
    count = whole_samples(path, data.size, kind.sample_bytes, f"two-channel {bits} bit")
    return Recording(path, Interleaved(path, kind, count, ((0, data.offset),)), sample_rate=float(rate) or None)


def _chunks(path: Path, size: int) -> Iterator[_Chunk]:
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            raise _not_wav(path, f"it begins with {head[:4]!r}" if size else "it is empty")
        long_size, offset = None, 12
        while offset + 8 <= size:
            file.seek(offset)
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"ds64" and length >= 24:
                long_size = struct.unpack("<Q", file.read(16)[8:])[0]
            if name == b"data" and length in (0, _UNKNOWN_SIZE):
                # Programs that record to a pipe, or were stopped, leave the size unset: the rest of the file is data.
                length = long_size if long_size else size - offset - 8
            if offset + 8 + length > size:
                raise RecordingError(
                    f"the chunk {name!r} claims {length} bytes and {size - offset - 8} are left",
                    where=f"{path}, byte {offset}",
                    action="the file is truncated: copy or record it again",
                )
            yield _Chunk(name, offset + 8, length)
            offset += 8 + length + length % 2


def _not_wav(path: Path, why: str) -> RecordingError:
    return RecordingError(f"not a WAV file: {why}", where=str(path), allowed="RIFF or RF64 with fmt and data chunks")
