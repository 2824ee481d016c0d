"""Training batches as a pure function of (seed, batch number), from a file or from a generator of frames.

A run that stops after batch `k`, for whatever reason, goes on exactly by asking for batch `k + 1`: there is no other
state. How many workers make batches, or how far ahead, changes nothing.

Data sets for ``torch.utils.data.DataLoader``: frames of a file, and batches made or read ahead by workers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from copy import copy
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from bacalhaunet.data.dataset import Indices, Part
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES, SNRS_DB
from bacalhaunet.radio.profiles import FrameSource


class Batch(NamedTuple):
    """Frames and what they are.

    Attributes:
        frames: float32 (batch, 2, length), I then Q.
        labels: int64 (batch,), class numbers.
        snrs_db: float32 (batch,), SNR labels in dB.
        rows: int64 (batch,), numbers of the frames in their file; None for frames of no file.
    """

    frames: Tensor
    labels: Tensor
    snrs_db: Tensor
    rows: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch in the memory of a device."""
        return Batch(self.frames.to(device), self.labels.to(device), self.snrs_db.to(device), self.rows)

    def part(self, chosen: slice | Tensor) -> Batch:
        """Return some of the rows: a slice, or those where a bool tensor (batch,) is True."""
        rows = None if self.rows is None else self.rows[chosen]
        return Batch(self.frames[chosen], self.labels[chosen], self.snrs_db[chosen], rows)


class GeneratedBatches:
    r"""Batches of frames that are made when asked for and never repeat.

    .. math:: \text{position } p = k B + b, \qquad r = \lfloor p / C \rfloor, \qquad
              \text{cell} = \pi_r(p \bmod C), \qquad \text{index} = r

    Row `b` of batch `k` (of `B` frames) is frame number `r` of a cell, where `\pi_r` is a permutation of the `C` cells
    of modulation and SNR drawn from (seed, `r`). So every `C` frames in a row hold each modulation at each SNR once,
    and no frame comes twice in any number of epochs.

    Args:
        source: What makes the frames.
        batch_size: Frames of a batch, `B`.
        seed: Names the frames and their order.
        labels: Classes to draw.
        snrs_db: SNR labels to draw, in dB.
        together: Batches made at once and handed out one by one; the frames are the same.

    Raises:
        ConfigError: If there is nothing to draw from, or ``batch_size`` is not positive.
    """

    def __init__(
        self,
        source: FrameSource,
        batch_size: int,
        *,
        seed: int,
        labels: Sequence[int] = range(len(NAMES)),
        snrs_db: Sequence[int] = SNRS_DB,
        together: int = 1,
    ) -> None:
        if batch_size < 1 or not len(labels) or not len(snrs_db):
            raise ConfigError(
                f"batches of {batch_size} frames from {len(labels)} classes and {len(snrs_db)} SNRs",
                allowed="1 or more of each",
            )
        self.source, self.batch_size, self.seed = source, batch_size, seed
        cells = np.array([(label, snr) for label in labels for snr in snrs_db], dtype=np.int64)
        self._labels, self._snrs = cells[:, 0], cells[:, 1]
        self._together = together
        self._made: tuple[int, Batch | None] = (-1, None)

    def split(self, parts: int) -> GeneratedBatches:
        """Return the same frames in batches of a part of the size, made one by one.

        Batch n of B frames is, frame by frame, the batches n R to n R + R - 1 of B / R frames.
        """
        smaller = copy(self)
        smaller.batch_size, smaller._together = self.batch_size // parts, 1
        return smaller

    def batch(self, number: int) -> Batch:
        """Return batch ``number``, counted from 0 over all epochs; frames lie where the source makes them."""
        if self._together == 1:
            return self._batches(number, 1)
        group, place = divmod(number, self._together)
        held, made = self._made
        if made is None or held != group:
            made = self._batches(group * self._together, self._together)
            self._made = (group, made)
        return made.part(slice(place * self.batch_size, (place + 1) * self.batch_size))

    def _batches(self, number: int, count: int) -> Batch:
        """Return ``count`` batches as one."""
        labels, snrs, index = self.contents(number, count)
        given = (torch.from_numpy(labels), torch.from_numpy(snrs).to(torch.float32), torch.from_numpy(index))
        frames = self.source.frames(*given, seed=self.seed)
        return Batch(frames, given[0].to(frames.device), given[1].to(frames.device))

    def contents(self, number: int, count: int = 1) -> tuple[Indices, Indices, Indices]:
        """Return the labels, SNRs in dB and frame numbers of a batch, int64 (batch,) each, without making frames.

        With ``count``, of that many batches from ``number`` on.
        """
        cells = len(self._labels)
        first, last = number * self.batch_size, (number + count) * self.batch_size
        rounds = range(first // cells, (last - 1) // cells + 1)
        order = np.concatenate([np.random.default_rng([self.seed, turn]).permutation(cells) for turn in rounds])
        chosen = order[first - rounds[0] * cells : last - rounds[0] * cells]
        return self._labels[chosen], self._snrs[chosen], np.arange(first, last, dtype=np.int64) // cells


class FileBatches:
    """Batches of a file's frames, in a new order every epoch that depends on (seed, epoch) only.

    Args:
        file: The file; worker processes may be given the object.
        indices: Frame numbers to draw, for example ``file.layout.select(split.train, snr_min_db=-6)``.
        batch_size: Frames of a batch. The frames left over at the end of an epoch wait for another epoch.
        seed: Names the order.

    Attributes:
        batches_per_epoch: Batches of an epoch.

    Raises:
        ConfigError: If there are fewer frames than a batch holds.
    """

    def __init__(self, file: RadioMLFile, indices: Indices, batch_size: int, *, seed: int) -> None:
        if not 1 <= batch_size <= len(indices):
            raise ConfigError(
                f"batches of {batch_size} frames from {len(indices)} frames",
                where=str(file.path),
                allowed="1 frame or more, and no more than there are",
                action="make the batch smaller, or widen the choice of SNRs and classes",
            )
        self.file, self.indices, self.batch_size, self.seed = file, np.asarray(indices), batch_size, seed
        self.batches_per_epoch = len(indices) // batch_size
        self._order: tuple[int, Indices] = (-1, self.indices)

    def batch(self, number: int) -> Batch:
        """Return batch ``number``, counted from 0 over all epochs."""
        return read_batch(self.file, self.contents(number))

    def contents(self, number: int) -> Indices:
        """Return the frame numbers of a batch, int64 (batch,)."""
        epoch, place = divmod(number, self.batches_per_epoch)
        held, order = self._order
        if held != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.indices)
            self._order = (epoch, order)
        return order[place * self.batch_size : (place + 1) * self.batch_size]


def read_batch(file: RadioMLFile, indices: Indices) -> Batch:
    """Read frames of a file as tensors."""
    frames, labels, snrs_db = file.read(indices)
    rows = torch.from_numpy(np.asarray(indices, dtype=np.int64))
    return Batch(torch.from_numpy(frames), torch.from_numpy(labels), torch.from_numpy(snrs_db), rows)


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
