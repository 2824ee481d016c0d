"""Data sets for ``torch.utils.data.DataLoader``: frames of a file, and batches made or read ahead by workers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from bacalhaunet.data.batches import Batch, read_batch
from bacalhaunet.data.layout import Indices
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.data.split import Part, radioml_split


class BatchSource(Protocol):
    """Anything that gives batch ``number`` of a run, the same one whenever it is asked."""

    def batch(self, number: int) -> Batch:
        """Return batch ``number``, counted from 0 over all epochs."""
        ...


class RadioMLDataset(Dataset[Batch]):
    """Frames of a part of a file, by position; a whole batch is fetched by one sorted read.

    Use it with its own ``collate``, since ``__getitems__`` gives a batch already::

        DataLoader(data, batch_size=1024, shuffle=True, num_workers=2, collate_fn=data.collate)

    Args:
        file: The file, or its path.
        part: Part of the prescribed split.
        snr_min_db: Lowest SNR label; -6 for training in the BacalhauNet report.
        snr_max_db: Highest SNR label.
        labels: Class numbers; None for all.

    Attributes:
        indices: Frame numbers in the file, int64, in the order of the split.
    """

    def __init__(
        self,
        file: RadioMLFile | str,
        part: Part = "train",
        *,
        snr_min_db: float | None = None,
        snr_max_db: float | None = None,
        labels: Collection[int] | None = None,
    ) -> None:
        self.file = file if isinstance(file, RadioMLFile) else RadioMLFile(file)
        layout = self.file.layout
        chosen = radioml_split(layout).part(part)
        self.indices: Indices = layout.select(chosen, snr_min_db=snr_min_db, snr_max_db=snr_max_db, labels=labels)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.indices)

    def __getitem__(self, position: int) -> Batch:
        """Return one frame (2, 1024) with its label and SNR."""
        batch = read_batch(self.file, self.indices[[position]])
        return Batch(batch.frames[0], batch.labels[0], batch.snrs_db[0])

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """Return the frames at ``positions`` as one batch."""
        return read_batch(self.file, self.indices[np.asarray(positions)])

    @staticmethod
    def collate(batch: Batch) -> Batch:
        """Return the batch as ``__getitems__`` gave it."""
        return batch


class BatchStream(IterableDataset[Batch]):
    """Batches ``start`` to ``stop - 1`` of a source, in order, whatever the number of workers.

    Worker `w` of `W` makes every `W`-th batch from the `w`-th on; the loader takes them in turn, so the order is the
    same as without workers. Pass ``batch_size=None`` to the loader, or use ``loader``.

    Args:
        source: ``GeneratedBatches`` or ``FileBatches``.
        stop: Number of the first batch not wanted; None goes on for ever.
        start: Number of the first batch: the count of batches already used by a run that goes on.
    """

    def __init__(self, source: BatchSource, stop: int | None = None, *, start: int = 0) -> None:
        self.source, self.start, self.stop = source, start, stop

    def __iter__(self) -> Iterator[Batch]:
        """Yield this worker's batches."""
        worker = get_worker_info()
        number, step = (self.start, 1) if worker is None else (self.start + worker.id, worker.num_workers)
        while self.stop is None or number < self.stop:
            yield self.source.batch(number)
            number += step

    def loader(self, workers: int = 0) -> DataLoader[Batch]:
        """Return a loader that makes batches ahead in ``workers`` processes."""
        return DataLoader(self, batch_size=None, num_workers=workers)
