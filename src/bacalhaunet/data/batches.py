"""Training batches as a pure function of (seed, batch number), from a data set or from a generator of frames.

A run that stops after batch `k`, for whatever reason, goes on exactly by asking for batch `k + 1`: there is no other
state. How many workers make batches, or how far ahead, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from bacalhaunet.data.dataset import Frames, Indices
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import RADIOML, SNRS_DB
from bacalhaunet.radio.profiles import FrameSource


class Batch(NamedTuple):
    """Frames and what they are.

    Attributes:
        frames: float32 (batch, 2, length), I then Q.
        labels: int64 (batch,), class numbers.
        snrs_db: float32 (batch,), SNR labels in dB; NaN where nothing is known of them.
        rows: int64 (batch,), numbers of the frames in their data set; None for frames that are made.
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
        labels: Sequence[int] = range(len(RADIOML)),
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


class FrameBatches:
    """Batches of a data set's frames, in a new order every epoch that depends on (seed, epoch) only.

    Args:
        frames: What to draw from, for example ``data.train.select(snr_min_db=-6)``.
        batch_size: Frames of a batch. The frames left over at the end of an epoch wait for another epoch.
        seed: Names the order.

    Attributes:
        batches_per_epoch: Batches of an epoch.

    Raises:
        ConfigError: If there are fewer frames than a batch holds.
    """

    def __init__(self, frames: Frames, batch_size: int, *, seed: int) -> None:
        if not 1 <= batch_size <= len(frames):
            raise ConfigError(
                f"batches of {batch_size} frames from {len(frames)} frames",
                where=frames.name,
                allowed="1 frame or more, and no more than there are",
                action="make the batch smaller (--batch_size), or widen the choice of SNRs and classes",
            )
        self.frames, self.batch_size, self.seed = frames, batch_size, seed
        self.batches_per_epoch = len(frames) // batch_size
        self._order: tuple[int, Indices] = (-1, np.arange(0))

    def batch(self, number: int) -> Batch:
        """Return batch ``number``, counted from 0 over all epochs."""
        return read_batch(self.frames, self.contents(number))

    def contents(self, number: int) -> Indices:
        """Return which of the frames a batch holds, int64 (batch,)."""
        epoch, place = divmod(number, self.batches_per_epoch)
        held, order = self._order
        if held != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.frames))
            self._order = (epoch, order)
        return order[place * self.batch_size : (place + 1) * self.batch_size]


def read_batch(frames: Frames, numbers: Indices | slice) -> Batch:
    """Read some of the frames as tensors; where no SNR is known it is NaN."""
    batch, rows = frames.batch(numbers), torch.from_numpy(frames.rows[numbers])
    known = torch.full((len(rows),), torch.nan) if batch.snr_db is None else torch.from_numpy(batch.snr_db)
    return Batch(torch.from_numpy(batch.frames), torch.from_numpy(batch.labels), known, rows)


class BatchSource(Protocol):
    """Anything that gives batch ``number`` of a run, the same one whenever it is asked."""

    def batch(self, number: int) -> Batch:
        """Return batch ``number``, counted from 0 over all epochs."""
        ...


class BatchStream(IterableDataset[Batch]):
    """Batches ``start`` to ``stop - 1`` of a source, in order, whatever the number of workers.

    Worker `w` of `W` makes every `W`-th batch from the `w`-th on; the loader takes them in turn, so the order is the
    same as without workers. Pass ``batch_size=None`` to the loader, or use ``loader``.

    Args:
        source: ``GeneratedBatches`` or ``FrameBatches``.
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
