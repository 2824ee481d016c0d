"""Two-channel WAV files: I on the left, Q on the right, as SDR programs record them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sample_types import sample_type
from bacalhaunet.data.recordings.stores import Interleaved, whole_samples
from bacalhaunet.errors import RecordingError

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
