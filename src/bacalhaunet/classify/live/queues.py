"""Bounded queues that never hold their writer up: of samples between two processes, of blocks between threads.

The ring keeps the newest ``capacity`` samples; a reader that is slower than the writer loses the oldest and knows how
many. Positions count all samples ever written. One process writes, any number read: the writer says how far it is about
to overwrite before it does, and a reader looks at that after it has copied. ``Intake`` makes what arrives from a source
into a clean stream of samples in the ring. Blocks on their way from the search to the classification are few, the
newest, and those that matter first.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bacalhaunet.classify.front_end.regions import Region

_COUNTERS = 32
_LOG = 4096
_LOG_PARTS = 2048
_SAMPLE = 8
_HEADER = 8 * _COUNTERS + 16 * _LOG


class Counter(IntEnum):
    """What the writer counts, beside the samples.

    Attributes:
        CLAIMED: Samples up to which the writer may be writing just now.
        WRITTEN: Samples written.
        SEGMENT: Position from which on the samples are without a gap.
        RESTARTS: Times that the source came anew after it had been there.
        CONNECTED: 1 while the source is there.
        MALFORMED: Messages that are no whole number of samples; left out.
        REPLACED: Samples that were not finite; replaced by zero.
        LOST: Samples that the source sent and that never arrived, where the source numbers them.
        GAPS: Gaps of unknown length that the source reported.
        LOGGED: Entries of the log of times.
        ENDED: 1 when no more samples will come.
    """

    CLAIMED = 0
    WRITTEN = 1
    SEGMENT = 2
    RESTARTS = 3
    CONNECTED = 4
    MALFORMED = 5
    REPLACED = 6
    LOST = 7
    GAPS = 8
    LOGGED = 9
    ENDED = 10


class SampleRing:
    """The queue, in memory that a file descriptor names.

    Args:
        descriptor: As ``SampleRing.create`` made it; the ring keeps it open.

    Attributes:
        capacity: Samples it holds.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        size = os.fstat(descriptor).st_size
        self.capacity = (size - _HEADER) // _SAMPLE
        self._memory = mmap.mmap(descriptor, size)
        self._counters = np.frombuffer(self._memory, np.int64, _COUNTERS)
        self._positions = np.frombuffer(self._memory, np.int64, _LOG, 8 * _COUNTERS)
        self._times = np.frombuffer(self._memory, np.float64, _LOG, 8 * (_COUNTERS + _LOG))
        self._bytes = np.frombuffer(self._memory, np.uint8, _SAMPLE * self.capacity, _HEADER)

    @classmethod
    def create(cls, capacity: int) -> SampleRing:
        """Return a new ring for ``capacity`` samples, all counters zero. Memory is taken as it fills."""
        if hasattr(os, "memfd_create"):  # not limited by the size of /dev/shm
            descriptor = os.memfd_create("bacalhaunet")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _HEADER + _SAMPLE * capacity)
        return cls(descriptor)

    def close(self) -> None:
        """Close the descriptor; the memory goes when the last view of it does."""
        os.close(self.descriptor)

    def __getitem__(self, counter: Counter) -> int:
        """Return a counter."""
        return int(self._counters[counter])

    def __setitem__(self, counter: Counter, value: int) -> None:
        """Set a counter; the writer's."""
        self._counters[counter] = value

    def append(self, values: NDArray[np.uint8]) -> None:
        """Write samples, given as bytes of complex64; never waits. At most a quarter of the ring at once."""
        written = self[Counter.WRITTEN]
        count = len(values) // _SAMPLE
        self[Counter.CLAIMED] = written + count
        begin = written % self.capacity * _SAMPLE
        first = min(len(values), len(self._bytes) - begin)
        self._bytes[begin : begin + first] = values[:first]
        self._bytes[: len(values) - first] = values[first:]
        self[Counter.WRITTEN] = written + count
        self._log(written, written + count)

    def _log(self, before: int, after: int) -> None:
        spacing = max(1, self.capacity // _LOG_PARTS)
        if before // spacing == after // spacing and before:
            return
        entry = self[Counter.LOGGED]
        self._positions[entry % _LOG] = after
        self._times[entry % _LOG] = time.monotonic()
        self[Counter.LOGGED] = entry + 1

    @property
    def oldest(self) -> int:
        """The first position that is still there, with an eighth of the ring kept clear of the writer."""
        return max(0, self[Counter.CLAIMED] - self.capacity + self.capacity // 8)

    def copy(self, start: int, count: int) -> NDArray[np.complex64] | None:
        """Return ``count`` samples from a position on; None if some are not there any more, or not yet."""
        if start + count > self[Counter.WRITTEN] or start < self[Counter.CLAIMED] - self.capacity:
            return None
        samples = self._bytes.view(np.complex64)
        begin = start % self.capacity
        out = np.empty(count, np.complex64)
        first = min(count, self.capacity - begin)
        out[:first] = samples[begin : begin + first]
        out[first:] = samples[: count - first]
        return out if start >= self[Counter.CLAIMED] - self.capacity else None

    def arrival(self, position: int) -> float:
        """Return when the sample before a position arrived, on ``time.monotonic``'s clock, to about 1/2000 of the ring.

        Positions outside what is remembered get the nearest time.
        """
        entries = self[Counter.LOGGED]
        kept = np.arange(max(0, entries - _LOG + 1), entries) % _LOG
        if not len(kept):
            return time.monotonic()
        positions, times = self._positions[kept], self._times[kept]
        later = int(np.searchsorted(positions, position))
        return float(times[min(later, len(times) - 1)])


LARGEST = 1e15
"""Components beyond this are taken for damage, as NaN is: their power would overflow float32."""

_INTAKE_HEADER = struct.Struct("<HBQQ")
_MAGIC, _VERSION = 0x5FF0, 1
_INTAKE_SAMPLE = 8


class Intake:
    """Writes a source's messages to a ring.

    A message is a whole number of complex64 samples, little-endian. GNU Radio's ZMQ sinks put the position of the first
    sample before it where *Pass Tags* is on (gr-zeromq, tag_headers.cc): then samples that were lost on the way are
    counted. Messages of another size are counted and left out, samples that are not finite replaced by zero.

    Args:
        ring: Where the samples go.
    """

    def __init__(self, ring: SampleRing) -> None:
        self.ring = ring
        self._expected: int | None = None
        self._seen = False

    def connected(self, there: bool) -> None:
        """Say that the source came or went."""
        if there and self._seen:
            self._began_anew()
        self.ring[Counter.CONNECTED] = int(there)

    def message(self, values: NDArray[np.uint8]) -> None:
        """Take one message, as bytes."""
        offset = _offset(values)
        if offset is not None:
            self._follow(offset, (len(values) - _INTAKE_HEADER.size) // _INTAKE_SAMPLE)
            values = values[_INTAKE_HEADER.size :]
        if len(values) % _INTAKE_SAMPLE or not len(values):
            self.ring[Counter.MALFORMED] += 1
            return
        most = max(1, self.ring.capacity // 4) * _INTAKE_SAMPLE
        for first in range(0, len(values), most):
            self.samples(values[first : first + most])

    def samples(self, values: NDArray[np.uint8]) -> None:
        """Take samples, given as bytes of complex64, of at most a quarter of the ring."""
        if not self._seen:
            self._seen = True
            self.ring[Counter.CONNECTED] = 1
        floats = np.frombuffer(values.tobytes() if values.ctypes.data % 4 else values, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            power = float(np.dot(floats, floats))
        if not power < LARGEST**2:
            floats = self._cleaned(floats)
        self.ring.append(floats.view(np.uint8))

    def gap(self, lost: int | None = None) -> None:
        """Say that samples were lost before those to come: how many, or None where nobody knows."""
        if lost is None:
            self.ring[Counter.GAPS] += 1
        else:
            self.ring[Counter.LOST] += lost
        self.ring[Counter.SEGMENT] = self.ring[Counter.WRITTEN]

    def _follow(self, offset: int, count: int) -> None:
        if self._expected is not None and offset > self._expected:
            self.gap(offset - self._expected)
        elif self._expected is not None and offset < self._expected:
            self._began_anew()
        self._expected = offset + count

    def _began_anew(self) -> None:
        if self.ring[Counter.SEGMENT] != self.ring[Counter.WRITTEN]:  # not twice for the same restart
            self.ring[Counter.SEGMENT] = self.ring[Counter.WRITTEN]
            self.ring[Counter.RESTARTS] += 1
        self._expected = None

    def _cleaned(self, floats: NDArray[np.float32]) -> NDArray[np.float32]:
        pairs = floats.reshape(-1, 2).copy()
        bad = ~(np.abs(pairs) < LARGEST).all(axis=1)  # NaN compares false
        pairs[bad] = 0
        self.ring[Counter.REPLACED] += int(bad.sum())
        return pairs.reshape(-1)


def _offset(values: NDArray[np.uint8]) -> int | None:
    """Return the position in GNU Radio's header before the samples; None if there is no header without tags."""
    if len(values) % _INTAKE_SAMPLE != _INTAKE_HEADER.size % _INTAKE_SAMPLE or len(values) < _INTAKE_HEADER.size:
        return None
    magic, version, offset, tags = _INTAKE_HEADER.unpack(values[: _INTAKE_HEADER.size].tobytes())
    return int(offset) if (magic, version, tags) == (_MAGIC, _VERSION, 0) else None


WAITING = 2
"""Blocks that wait at most."""


@dataclass(frozen=True)
class Block:
    """A stretch of the stream that was searched.

    Attributes:
        start: Position of its first sample in the stream.
        samples: complex64 (N,).
        regions: Where it holds signals; samples are counted from its own first.
        arrived: When its first and its last sample arrived, on ``time.monotonic``'s clock.
        restarts: How often the source had come anew.
        urgent: It holds a signal that has no answer yet.
        late: Blocks were left out before it.
    """

    start: int
    samples: NDArray[np.complex64]
    regions: list[Region]
    arrived: tuple[float, float]
    restarts: int = 0
    urgent: bool = False
    late: bool = False


class Mailbox:
    """Holds a few blocks. Where more come than are taken, the oldest that are not urgent go."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._changed = threading.Condition()
        self._taken: list[Block] = []
        self._late = False

    def put(self, block: Block) -> None:
        """Add a block; never waits."""
        with self._changed:
            if len(self._blocks) == WAITING:
                calm = [place for place, one in enumerate(self._blocks) if not one.urgent]
                del self._blocks[calm[0] if calm else 0]
                self._late = True
            self._blocks.append(block)
            self._changed.notify()

    def get(self, timeout: float) -> Block | None:
        """Return the first urgent block, else the next; None if none comes in ``timeout`` seconds."""
        with self._changed:
            if not self._blocks and not self._changed.wait(timeout):
                return None
            if not self._blocks:
                return None
            late, self._late = self._late, False
            urgent = [place for place, one in enumerate(self._blocks) if one.urgent]
            # After a gap the newest: as much is classified as with the oldest, and sooner.
            block = self._blocks.pop(urgent[0] if urgent else -1 if late else 0)
            if late:
                self._blocks = [one for one in self._blocks if one.urgent]
            self._taken.append(block)
            return replace(block, late=late)

    def done(self) -> None:
        """Say that the block that was taken has been worked on."""
        with self._changed:
            self._taken.pop(0)

    @property
    def idle(self) -> bool:
        """Whether no block waits or is worked on."""
        with self._changed:
            return not self._blocks and not self._taken

    @property
    def waiting(self) -> bool:
        """Whether a block waits."""
        with self._changed:
            return bool(self._blocks)

    @property
    def oldest(self) -> float | None:
        """When the last sample of the oldest block that waits or is worked on arrived; None without one."""
        with self._changed:
            return min((one.arrived[1] for one in [*self._taken, *self._blocks]), default=None)

    def clear(self) -> None:
        """Forget all blocks."""
        with self._changed:
            self._blocks.clear()
