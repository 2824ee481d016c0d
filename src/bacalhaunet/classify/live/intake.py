"""What arrives from a source, made into a clean stream of samples in the ring."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.live.ring import Counter, SampleRing

LARGEST = 1e15
"""Components beyond this are taken for damage, as NaN is: their power would overflow float32."""

_HEADER = struct.Struct("<HBQQ")
_MAGIC, _VERSION = 0x5FF0, 1
_SAMPLE = 8


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
            self._follow(offset, (len(values) - _HEADER.size) // _SAMPLE)
            values = values[_HEADER.size :]
        if len(values) % _SAMPLE or not len(values):
            self.ring[Counter.MALFORMED] += 1
            return
        step = max(1, self.ring.capacity // 4) * _SAMPLE
        for first in range(0, len(values), step):
            self.samples(values[first : first + step])

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
    if len(values) % _SAMPLE != _HEADER.size % _SAMPLE or len(values) < _HEADER.size:
        return None
    magic, version, offset, tags = _HEADER.unpack(values[: _HEADER.size].tobytes())
    return int(offset) if (magic, version, tags) == (_MAGIC, _VERSION, 0) else None
