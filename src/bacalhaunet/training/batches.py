"""Training batches as a pure function of their number, so that a run can stop anywhere and go on exactly."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Frames and what they are.

    Attributes:
        frames: float32 (batch, 2, length), I then Q.
        labels: int64 (batch,), class numbers.
        snrs_db: float32 (batch,), SNR labels in dB.
    """

    frames: Tensor
    labels: Tensor
    snrs_db: Tensor


class BatchSource(Protocol):
    """Anything that gives batch ``number`` of a run, the same one whenever it is asked."""

    def batch(self, number: int) -> Batch:
        """Return batch ``number``, counted from 0 over all epochs."""
        ...


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


def fixed_batches(frames: Tensor, labels: Tensor, snrs_db: Tensor, batch_size: int) -> list[Batch]:
    """Cut tensors that fit in memory into batches, in order."""
    starts = range(0, len(frames), batch_size)
    parts = (torch.split(tensor, batch_size) for tensor in (frames, labels, snrs_db))
    return [Batch(*triple) for triple, _ in zip(zip(*parts, strict=True), starts, strict=True)]
