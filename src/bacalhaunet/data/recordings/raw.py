"""Raw samples without a header."""

from __future__ import annotations

from pathlib import Path

from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sample_types import sample_type
from bacalhaunet.data.recordings.stores import Interleaved, whole_samples
from bacalhaunet.errors import RecordingError

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
