"""What was computed so far, kept beside an output under a temporary name, so that a stopped run can go on.

A line of JSON with the fingerprint of the work, then blocks: kind (1 byte), length (4 bytes, little-endian), CRC-32 of
the content (4 bytes), content. Blocks that were written completely are given back in their order; at the first that was
not, the file is cut and the work goes on from there. The answers are computed from the blocks alone, so they are the
same as those of a run that was not stopped. ``bacalhaunet.resume`` keeps pieces of work that are whole; a recording's
answers are many, small and in one order, so they are appended to one file.

Everything that the answers for a recording depend on, so that only the very same work is gone on with.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bacalhaunet import __version__
from bacalhaunet.classify.engines import Engine
from bacalhaunet.data.recordings.frames import BATCH
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.errors import ConfigError
from bacalhaunet.resume import lock

_HEAD = struct.Struct("<cII")
_FRAMES, _NOTE = b"F", b"N"
_LONGEST = 1 << 28


class FrameLog:
    """The log of one output; open it with ``with``. An error or a kill leaves it, ``done`` deletes it.

    Args:
        output: The file that the work will give. The log lies beside it, as ``.NAME.progress``.
        fingerprint: Everything that the answers depend on, JSON values. A log of other work is begun anew.

    Attributes:
        path: The log.
        replaced: Whether a log of other work was there.
        resumed: Whether a log of this work was there.

    Raises:
        ConfigError: If another run is writing the same output, or the log cannot be written.
    """

    def __init__(self, output: Path, fingerprint: Mapping[str, Any]) -> None:
        self.output = output
        self.path = output.with_name(f".{output.name}.progress")
        self.replaced = self.resumed = False
        self._fingerprint = json.dumps(fingerprint, sort_keys=True).encode() + b"\n"
        self._replaying = True

    def __enter__(self) -> FrameLog:
        """Open or begin the log."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("r+b" if self.path.exists() else "w+b")
        except OSError as error:
            raise ConfigError(f"the progress cannot be kept: {error}", where=str(self.path)) from error
        try:
            self._lock()
            self._begin()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the log; it stays."""
        self._file.close()

    def done(self) -> None:
        """Delete the log: the output is there."""
        self.path.unlink(missing_ok=True)

    def note(self) -> Any:
        """Return the next value that ``keep_note`` kept; None if the log has no more."""
        content = self._next(_NOTE)
        return None if content is None else json.loads(content)

    def keep_note(self, value: Any) -> None:
        """Append a JSON value."""
        self._append(_NOTE, json.dumps(value).encode())

    def frames(self, classes: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
        """Return the next logits (n, classes) and silence (n,) that were kept; None if the log has no more."""
        content = self._next(_FRAMES)
        if content is None:
            return None
        count = len(content) // (4 * classes + 1)
        logits = np.frombuffer(content, "<f4", count * classes).reshape(count, classes)
        return logits, np.frombuffer(content, np.bool_, count, offset=4 * count * classes)

    def keep_frames(self, logits: NDArray[np.float32], silent: NDArray[np.bool_]) -> None:
        """Append logits float32 (n, classes) and silence bool (n,)."""
        self._append(_FRAMES, np.ascontiguousarray(logits, "<f4").tobytes() + silent.tobytes())

    def _lock(self) -> None:
        """Keep other runs out."""
        try:
            lock(self._file)
        except OSError as error:
            raise ConfigError(
                "another run is writing this output", where=str(self.output), action="wait for it or stop it"
            ) from error

    def _begin(self) -> None:
        first = self._file.readline(_LONGEST)
        if first != self._fingerprint:
            self.replaced = len(first) > 0
            self._file.seek(0)
            self._file.truncate()
            self._file.write(self._fingerprint)
        self.resumed = self._replaying = first == self._fingerprint
        # A run that was killed could not delete what it had written of the output.
        own = re.compile(rf"\.{re.escape(self.output.stem)}\.\d+\.part{re.escape(self.output.suffix)}")
        for left in self.path.parent.iterdir():
            if own.fullmatch(left.name):
                left.unlink(missing_ok=True)

    def _next(self, kind: bytes) -> bytes | None:
        if not self._replaying:
            return None
        place = self._file.tell()
        head = self._file.read(_HEAD.size)
        if len(head) == _HEAD.size:
            stored, length, check = _HEAD.unpack(head)
            content = self._file.read(length) if length <= _LONGEST else b""
            if stored == kind and len(content) == length and zlib.crc32(content) == check:
                return content
        self._file.seek(place)
        self._file.truncate()
        self._replaying = False
        return None

    def _append(self, kind: bytes, content: bytes) -> None:
        if self._replaying:  # whoever computes has read the log to its end
            raise RuntimeError("blocks are appended after the last one was read")
        self._file.write(_HEAD.pack(kind, len(content), zlib.crc32(content)) + content)
        self._file.flush()


def file_fingerprint(path: Path) -> dict[str, Any]:
    """Return size, time of the last change, and a checksum of the first and last 64 KiB of a file."""
    status = path.stat()
    with path.open("rb") as file:
        check = zlib.crc32(file.read(1 << 16))
        file.seek(max(0, status.st_size - (1 << 16)), os.SEEK_SET)
        check = zlib.crc32(file.read(1 << 16), check)
    return {"name": path.name, "size": status.st_size, "changed": status.st_mtime_ns, "check": check}


def work_fingerprint(engine: Engine, recording: Recording, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fingerprint of classifying a recording, JSON values.

    Args:
        engine: The network.
        recording: The recording; of its metadata, annotations do not count.
        settings: Whatever else the answers depend on, JSON values.
    """
    data = Path(getattr(recording.store, "path", recording.path))
    metadata = {name: part for name, part in (recording.metadata or {}).items() if name != "annotations"}
    network = Path(engine.target)
    return {
        "version": __version__,
        "data": file_fingerprint(data) if data.is_file() else str(data),
        "samples": [len(recording), recording.sample_rate, repr(recording.store)],
        "metadata": hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest(),
        "network": hashlib.sha256(network.read_bytes()).hexdigest() if network.is_file() else engine.target,
        "engine": [engine.name, str(getattr(engine, "kernels", "")), list(engine.labels)],
        "batch": BATCH,
        "settings": dict(settings),
    }
