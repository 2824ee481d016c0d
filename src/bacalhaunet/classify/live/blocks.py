"""Blocks of the stream on their way from the search to the classification: few, the newest, those that matter first."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.regions import Region

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
