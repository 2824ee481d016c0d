"""One epoch of batches after another, made ahead in the background and resumable at any of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from bacalhaunet.data.batches import Batch
from bacalhaunet.data.loaders import BatchSource


class ResumableBatches:
    """The batches of one epoch after another, made ahead in a background thread.

    Lightning saves ``state_dict`` with every checkpoint. It counts the batches handed out, not those made ahead, so
    a run that goes on from a checkpoint gets the batch that would have come next.

    Args:
        source: Where batches come from.
        batches_per_epoch: Batches of an epoch.
        ahead: Batches made in advance.
    """

    def __init__(self, source: BatchSource, batches_per_epoch: int, ahead: int = 2) -> None:
        self.source = source
        self.batches_per_epoch = batches_per_epoch
        self.ahead = ahead
        self.next_number = 0

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return self.batches_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """Yield what is left of the current epoch."""
        end = (self.next_number // self.batches_per_epoch + 1) * self.batches_per_epoch
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as maker:
            waiting: list[Future[Batch]] = []
            wanted = self.next_number
            try:
                while self.next_number < end:
                    while wanted < end and len(waiting) <= self.ahead:
                        waiting.append(maker.submit(self.source.batch, wanted))
                        wanted += 1
                    batch = waiting.pop(0).result()
                    self.next_number += 1
                    yield batch
            finally:
                for future in waiting:
                    future.cancel()

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next batch."""
        return {"next_number": self.next_number}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at the batch ``state`` names."""
        self.next_number = int(state["next_number"])
