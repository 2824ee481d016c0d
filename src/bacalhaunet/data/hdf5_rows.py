"""Scattered rows of an HDF5 data set, read fast, in bounded memory and from any process or thread."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.errors import DatasetError

_SPAN_ROWS = 4096
"""Rows of a single read at most; 32 MiB of frames."""


class RowReader(Protocol):
    """Reads rows by number."""

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows in the order asked for, repeats allowed."""
        ...


def stretches(rows: NDArray[np.int64], places: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (row, place, count) of each stretch over which rows and the places they go to both go up by 1."""
    if len(rows) == 0:
        return []
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(places) != 1)) + 1
    firsts = np.concatenate([[0], breaks])
    counts = np.diff(np.append(firsts, len(rows)))
    return list(zip(rows[firsts].tolist(), places[firsts].tolist(), counts.tolist(), strict=True))


class ContiguousRows:
    """Rows of a contiguous, uncompressed data set, read straight from their place in the file.

    ``pread`` needs no lock and no HDF5 call, so a row costs a few microseconds, and memory holds only what was asked.

    Args:
        path: The HDF5 file.
        offset: Bytes before the first row.
        row_shape: Shape of a row.
        dtype: Type of a number as stored.
    """

    def __init__(self, path: Path, offset: int, row_shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.offset, self.row_shape, self.dtype = path, offset, row_shape, dtype
        self.row_bytes = int(np.prod(row_shape)) * dtype.itemsize
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows in the order asked for, repeats allowed."""
        rows = np.asarray(rows)
        order = np.argsort(rows, kind="stable")
        out = np.empty((len(rows), *self.row_shape), dtype=self.dtype)
        buffer, size = out.reshape(-1).view(np.uint8).data, self.row_bytes
        for row, place, count in stretches(rows[order], order):
            self._fill(buffer[place * size : (place + count) * size], row)
        return out

    def _fill(self, buffer: memoryview, row: int) -> None:
        position = self.offset + row * self.row_bytes
        while len(buffer):
            count = os.preadv(self._descriptor, [buffer], position)
            if count == 0:
                raise DatasetError(
                    f"the file ends in row {row}",
                    where=str(self.path),
                    action="the file is truncated: copy or make it again",
                )
            buffer, position = buffer[count:], position + count

    def __del__(self) -> None:
        """Close the file."""
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            os.close(descriptor)


class ChunkedRows:
    """Rows of a chunked or compressed data set: one HDF5 read for each chunk that holds a row asked for.

    Args:
        dataset: An open ``h5py.Dataset``.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.span = int(dataset.chunks[0]) if dataset.chunks else _SPAN_ROWS

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows in the order asked for, repeats allowed."""
        rows = np.asarray(rows)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        out = np.empty((len(rows), *self.dataset.shape[1:]), dtype=self.dataset.dtype.newbyteorder("="))
        edges = np.flatnonzero(np.diff(ordered // self.span)) + 1
        for part in np.split(np.arange(len(rows)), edges):
            if len(part):
                first, last = int(ordered[part[0]]), int(ordered[part[-1]])
                out[order[part]] = self.dataset[first : last + 1][ordered[part] - first]
        return out


def row_reader(path: Path, dataset: Any) -> RowReader:
    """Return the fastest reader that the data set's storage allows."""
    offset = dataset.id.get_offset() if dataset.chunks is None and not dataset.external else None
    if offset is None or not hasattr(os, "preadv") or not dataset.dtype.isnative:
        return ChunkedRows(dataset)
    return ContiguousRows(path, offset, dataset.shape[1:], dataset.dtype)
