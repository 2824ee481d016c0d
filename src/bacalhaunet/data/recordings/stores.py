"""Where the samples of a recording lie in its file, and how a slice of them is read.

Slices are read, not mapped: memory holds the slice and nothing else, also by the kernel's count, and a file that is
cut while it is read gives an error where a mapped one would kill the process.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.recordings.sample_types import SampleType
from bacalhaunet.errors import RecordingError


class SampleStore(Protocol):
    """Samples that are read by slices."""

    @property
    def count(self) -> int:
        """Number of samples."""
        ...

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Return samples ``start`` to ``stop - 1``; both lie inside the store."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Samples of an array.

    Attributes:
        samples: complex64 (N,).
    """

    samples: NDArray[np.complex64]

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.samples)

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Return samples ``start`` to ``stop - 1``."""
        return self.samples[start:stop]


@dataclass(frozen=True)
class Section:
    """Some samples of another store that follow each other.

    Attributes:
        whole: The other store.
        start: The first of them there.
        count: Number of samples.
    """

    whole: SampleStore
    start: int
    count: int

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Return samples ``start`` to ``stop - 1`` of the section."""
        return self.whole.read(self.start + start, self.start + stop)


@dataclass(frozen=True)
class Interleaved:
    """Samples one after the other: I, Q, I, Q; with several channels, the channels of one instant together.

    Attributes:
        path: The file.
        kind: Type of the values.
        count: Number of samples of a channel.
        segments: (first sample, byte of that sample) of each stretch, ascending.
        channels: Number of channels.
        channel: The channel that is read, from 0.
    """

    path: Path
    kind: SampleType
    count: int
    segments: tuple[tuple[int, int], ...] = ((0, 0),)
    channels: int = 1
    channel: int = 0

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Return samples ``start`` to ``stop - 1``."""
        firsts = [first for first, _ in self.segments]
        parts = []
        while start < stop:
            number = bisect.bisect_right(firsts, start) - 1
            end = min(stop, firsts[number + 1] if number + 1 < len(firsts) else self.count)
            first, offset = self.segments[number]
            parts.append(self._stretch(offset + (start - first) * self.channels * self.kind.sample_bytes, end - start))
            start = end
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.complex64), *parts])

    def _stretch(self, offset: int, count: int) -> NDArray[np.complex64]:
        values = read_values(self.path, self.kind.component, offset, 2 * count * self.channels)
        if self.channels > 1:
            values = values.reshape(count, self.channels, 2)[:, self.channel].reshape(-1)
        return self.kind.to_complex(values)


@dataclass(frozen=True)
class Planar:
    """All I values, then all Q values, for each block of ``length`` samples.

    An array (2, N) is one block of N samples; frames (n, 2, length) are n blocks.

    Attributes:
        path: The file.
        kind: Type of the values.
        count: Number of samples.
        offset: Bytes before the first value.
        length: Samples of a block.
    """

    path: Path
    kind: SampleType
    count: int
    offset: int
    length: int

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Return samples ``start`` to ``stop - 1``."""
        out = np.empty((stop - start, 2), self.kind.component)
        done, size = start, self.kind.component.itemsize
        while done < stop:
            block, place = divmod(done, self.length)
            count = min(self.length - place, stop - done)
            for part in (0, 1):
                offset = self.offset + ((2 * block + part) * self.length + place) * size
                out[done - start : done - start + count, part] = read_values(
                    self.path, self.kind.component, offset, count
                )
            done += count
        return self.kind.to_complex(out.reshape(-1))


@dataclass(frozen=True)
class FortranFrames:
    """Frames (n, 2, length) in Fortran order: the same instant of all frames together, I of all before Q of all.

    Attributes:
        path: The file.
        kind: Type of the values.
        offset: Bytes before the first value.
        shape: Number of frames, samples of a frame.
    """

    path: Path
    kind: SampleType
    offset: int
    shape: tuple[int, int]

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.shape[0] * self.shape[1]

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Return samples ``start`` to ``stop - 1``; a slice touches pages all over the file, so it is mapped."""
        frames, length = self.shape
        values = np.memmap(self.path, self.kind.component, "r", self.offset, (length, 2, frames))
        first, last = start // length, -(-stop // length)
        chosen = np.ascontiguousarray(values[:, :, first:last].transpose(2, 0, 1)).reshape(-1)
        return self.kind.to_complex(chosen)[start - first * length : stop - first * length]


def read_values(path: Path, component: np.dtype[Any], offset: int, count: int) -> NDArray[Any]:
    """Read ``count`` values from byte ``offset`` on.

    Raises:
        RecordingError: If the file cannot be read or ends before.
    """
    try:
        values = np.fromfile(path, component, count, offset=offset)
    except OSError as error:
        raise RecordingError(f"the samples cannot be read: {error}", where=str(path)) from error
    if len(values) != count:
        raise RecordingError(
            f"the file ends {(count - len(values)) * component.itemsize} bytes early",
            where=f"{path}, byte {offset + values.nbytes}",
            action="it was cut while being read, or is truncated: copy or record it again",
        )
    return values


def whole_samples(path: Path, size: int, sample_bytes: int, what: str) -> int:
    """Return how many samples ``size`` bytes hold.

    Raises:
        RecordingError: If there is none, or a part of one is left over.
    """
    if size <= 0:
        raise RecordingError("the recording is empty", where=str(path), allowed="one sample or more")
    if size % sample_bytes:
        raise RecordingError(
            f"{size} bytes are not a whole number of {what} samples of {sample_bytes} bytes: "
            f"{size % sample_bytes} left over",
            where=str(path),
            action="the file is truncated or of another type: pass the right one with --type, or cut the rest off",
        )
    return size // sample_bytes
