"""A recorded signal, opened by any of the formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.recordings.sample_types import numpy_type
from bacalhaunet.data.recordings.stores import InMemory, SampleStore
from bacalhaunet.errors import RecordingError


@dataclass(frozen=True)
class Capture:
    """A stretch of a recording with one set of receiver settings.

    Attributes:
        start: Its first sample.
        frequency: Centre frequency in Hz; None if unknown.
        datetime: Time of its first sample, ISO 8601; None if unknown.
    """

    start: int
    frequency: float | None = None
    datetime: str | None = None


@dataclass(frozen=True)
class Recording:
    """A recorded signal, read by slices.

    Attributes:
        path: The file that was opened.
        store: Where its samples are.
        sample_rate: Samples per second; None if unknown.
        captures: Stretches of one receiver setting; empty if unknown.
        frame_length: Samples of a frame where the file holds ready frames, else None.
        metadata: The SigMF metadata; None for other formats.
    """

    path: Path
    store: SampleStore
    sample_rate: float | None = None
    captures: tuple[Capture, ...] = ()
    frame_length: int | None = None
    metadata: dict[str, Any] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        """Return the number of complex samples."""
        return self.store.count

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Return samples ``start`` to ``stop - 1`` as complex64, integers scaled to full scale 1.

        Raises:
            IndexError: If the slice leaves the recording.
            RecordingError: If samples are NaN, infinite or so large that their type must be wrong.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"samples {start} to {stop} of {self.path}, which has {len(self)}")
        if start == stop:
            return np.empty(0, np.complex64)
        samples = self.store.read(start, stop)
        _check_values(samples, start, self.path)
        return samples

    def blocks(self, size: int) -> Iterator[NDArray[np.complex64]]:
        """Yield all samples in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.read(start, min(start + size, len(self)))


def recording_of(array: NDArray[Any]) -> Recording:
    """Return an array as a recording, without copying complex64.

    Args:
        array: complex (N,); or ready frames, real (n, 2, length) or complex (n, length); integers have full scale 1, as
            in files.

    Raises:
        RecordingError: If it is empty or of another shape or type.
    """
    real = array.ndim == 3 and array.shape[1] == 2 and array.dtype.kind in "fiu"
    if not real and not (array.ndim in (1, 2) and array.dtype.kind == "c"):
        raise RecordingError(
            f"the array is {array.dtype} {array.shape}",
            allowed="complex (N,), or frames, real (n, 2, length) or complex (n, length)",
        )
    if not array.size:
        raise RecordingError("the array is empty", allowed="one sample or more")
    samples = _samples_of_frames(array) if real else array.reshape(-1)
    store = InMemory(np.ascontiguousarray(samples, dtype=np.complex64))
    frames = real or (array.ndim == 2 and len(array) > 1)
    return Recording(Path("array"), store, frame_length=array.shape[-1] if frames else None)


def _samples_of_frames(frames: NDArray[Any]) -> NDArray[np.complex64]:
    """Return ready frames one after the other; integers are brought to full scale 1, as those of files are."""
    kind = numpy_type(frames.dtype)
    if frames.dtype.kind in "iu":
        if kind is None:
            raise RecordingError(f"the array is {frames.dtype}", allowed="integers of 8, 16 or 32 bits, or floats")
        return kind.to_complex(np.ascontiguousarray(np.moveaxis(frames, 1, 2)).reshape(-1))
    whole: NDArray[np.complex64] = (frames[:, 0] + np.complex64(1j) * frames[:, 1]).reshape(-1)
    return whole


_LARGEST = 1e15


def _check_values(samples: NDArray[np.complex64], start: int, path: Path) -> None:
    values = samples.view(np.float32)
    low, high = float(values.min()), float(values.max())
    if low >= -_LARGEST and high <= _LARGEST:  # false for NaN, which min and max pass on
        return
    bad = ~(np.abs(values) <= _LARGEST)
    at = int(np.flatnonzero(bad)[0])
    raise RecordingError(
        f"{int(bad.sum())} of {len(values)} values are NaN, infinite or absurdly large; the first is {values[at]}",
        where=f"{path}, sample {start + at // 2}",
        allowed=f"finite values up to {_LARGEST:g}",
        action="if the type or byte order is wrong, pass the right one with --type; else clean the recording",
    )


Reader = Callable[[Path, str | None, int], Recording]
"""``reader(path, type, channel)``: opens one format; ``type`` is None unless the user gave one."""


def _readers() -> dict[str, Reader]:
    from bacalhaunet.data.recordings.formats import RAW_ENDINGS, open_npy, open_raw, open_wav
    from bacalhaunet.data.recordings.sigmf_reader import open_archive, open_sigmf

    readers: dict[str, Reader] = dict.fromkeys(RAW_ENDINGS, open_raw)
    readers |= {".sigmf-meta": open_sigmf, ".sigmf-data": open_sigmf, ".sigmf": open_archive}
    return readers | {".wav": open_wav, ".npy": open_npy}


def recording_endings() -> frozenset[str]:
    """Return the endings of names that say what a recording holds, ``.sigmf-meta`` to ``.cu8``."""
    return frozenset(_readers())


def open_recording(path: str | os.PathLike[str], type_: str | None = None, channel: int = 0) -> Recording:
    """Open a recorded signal by the ending of its name.

    Args:
        path: ``.sigmf-meta``, ``.sigmf-data``, ``.sigmf`` (archive), ``.wav``, ``.npy`` or raw samples (``.cf32``,
            ``.cfile``, ``.fc32``, ``.cs16``, ``.ci16``, ``.cs8``, ``.cu8`` and so on).
        type_: Sample type of a raw file, which it then may be whatever its ending; replaces what the ending says.
        channel: Which channel of several to read, from 0.

    Raises:
        RecordingError: If the file cannot be read as complex samples. The message says why and what to do.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        problem = "the recording is a folder" if path.is_dir() else "there is no such recording"
        raise RecordingError(problem, where=str(path), allowed="a file", action="check the path")
    if channel < 0:
        raise RecordingError(f"channel {channel}", where=str(path), allowed="0 or more")
    readers = _readers()
    reader = readers.get(path.suffix.lower())
    if reader is None:
        if type_ is None:
            raise RecordingError(
                f"the ending {path.suffix!r} does not say what the file holds",
                where=str(path),
                allowed=", ".join(sorted(readers)),
                action="pass the type of its samples, for example --type cf32",
            )
        reader = readers[".cf32"]
    try:
        return reader(path, type_, channel)
    except OSError as error:
        raise RecordingError(f"the recording cannot be read: {error}", where=str(path)) from error


def recordings_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the recordings under a folder, sorted; of SigMF the metadata, of which each names its samples.

    Hidden files, and files whose ending does not say that they are recordings, are left out.
    """
    endings = set(_readers()) - {".sigmf-data"}
    files = (path for path in Path(folder).rglob("*") if path.suffix.lower() in endings and path.is_file())
    return sorted(path for path in files if not path.name.startswith("."))
