"""Writer of RadioML 2018.01A's layout: cell by cell, in any order, from any process, resumable.

Its pieces of work are parts of one large file, filled by several processes at once, so they are kept in that file and
a journal of its cells; ``bacalhaunet.resume`` keeps pieces that are files of their own.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.layout import CellLayout
from bacalhaunet.errors import ConfigError, DatasetError
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import FRAME_LENGTH, RADIOML, SNRS_DB

FRAME_BYTES = FRAME_LENGTH * 2 * 4

Blocks = NDArray[np.float32] | Iterable[NDArray[np.float32]]
"""Frames float32 (n, 2, 1024), in one array or in several that follow each other."""


@dataclass(frozen=True)
class CellWriter:
    """Fills cells of an unfinished file. It pickles, so worker processes fill different cells at the same time.

    Attributes:
        partial: The unfinished file.
        journal: A file with one byte per cell, 1 where the cell is done, after its header.
        layout: Classes, SNRs and frames per cell.
        frames_offset: Bytes of the unfinished file before the first frame.
        journal_offset: Bytes of the journal before the first cell.
    """

    partial: Path
    journal: Path
    layout: CellLayout
    frames_offset: int
    journal_offset: int

    def write_cell(self, label: int, snr_db: int, frames: Blocks) -> None:
        """Write all frames of a cell and note the cell as done.

        Args:
            label: Class number.
            snr_db: SNR label in dB.
            frames: float32 (n, 2, 1024), I then Q; all at once, or blocks of any size, to bound memory.

        Raises:
            DatasetError: If the frames are of another shape or number, or not finite, or the layout has no such cell.
        """
        try:
            cell = self.layout.cell_number(label, snr_db)
        except ValueError:
            raise DatasetError(
                f"the file has no cell of class {label} at {snr_db} dB", where=str(self.partial)
            ) from None
        total, where = self.layout.frames_per_cell, f"cell {self.layout.classes.names[label]}, {snr_db} dB"
        written = 0
        with self.partial.open("r+b") as file:
            file.seek(self.frames_offset + cell * total * FRAME_BYTES)
            for block in [frames] if isinstance(frames, np.ndarray) else frames:
                rows = _stored(block, where)
                written += len(rows)
                if written > total:
                    break
                file.write(rows.data)
        if written != total:
            raise DatasetError(f"{written} or more frames were given", where=where, allowed=f"{total} frames")
        with self.journal.open("r+b") as file:
            file.seek(self.journal_offset + cell)
            file.write(b"\x01")

    def done_cells(self) -> set[tuple[int, int]]:
        """Return the (label, SNR in dB) of every cell that is written."""
        marks = self.journal.read_bytes()[self.journal_offset :]
        return {cell for cell, mark in zip(self.layout.cells, marks, strict=True) if mark == 1}


class RadioMLWriter:
    """Makes a file in RadioML 2018.01A's layout.

    Cells are written in any order, by any process (through ``cells``), and a writer that is opened again after an
    interruption knows which are done. The finished file depends on its contents only, byte for byte: storage is
    contiguous and allocated in advance, and no time stamp is kept. ``finish`` gives the file its name; before it,
    everything is in hidden files beside ``path``. As a context manager it finishes when the block ends without error.

    Args:
        path: The file to make.
        frames_per_cell: Frames of each modulation at each SNR; 4096 in the original.
        classes: The classes; the file names them and their groups if they are not RadioML's.
        labels: Class numbers, in the order of the file; None for all.
        snrs_db: SNR labels in dB, in the order of the file.
        attributes: Stored as the file's HDF5 attributes, for example seed and profile. An unfinished file with other
            attributes or layout is not gone on with but begun again.

    Raises:
        ConfigError: If the disk has no room, or a setting cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        frames_per_cell: int,
        *,
        classes: ClassSet = RADIOML,
        labels: Iterable[int] | None = None,
        snrs_db: Iterable[int] = SNRS_DB,
        attributes: Mapping[str, str | int | float] | None = None,
    ) -> None:
        self.path = Path(path)
        numbers = range(len(classes)) if labels is None else labels
        self.layout = _checked_layout(CellLayout(frames_per_cell, tuple(numbers), tuple(snrs_db), classes))
        if self.path.is_dir():
            raise ConfigError("the output is a folder", where=str(self.path), allowed="a file name")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._attributes: dict[str, Any] = dict(sorted((attributes or {}).items()))
        if classes != RADIOML:
            self._attributes |= {"names": list(classes.names), "group_of": list(classes.group_of)}
        partial = self.path.with_name(f".{self.path.name}.part")
        journal = self.path.with_name(f".{self.path.name}.cells")
        header = (
            json.dumps([frames_per_cell, self.layout.labels, self.layout.snrs_db, self._attributes]).encode() + b"\n"
        )
        if not (partial.exists() and journal.exists() and journal.read_bytes()[: len(header)] == header):
            self._begin(partial, journal, header)
        self.cells = CellWriter(partial, journal, self.layout, _frames_offset(partial), len(header))

    def __enter__(self) -> RadioMLWriter:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, unless the block failed; then it can be gone on with."""
        if kind is None:
            self.finish()

    def write_cell(self, label: int, snr_db: int, frames: Blocks) -> None:
        """Write all frames of a cell; see ``CellWriter.write_cell``."""
        self.cells.write_cell(label, snr_db, frames)

    def done_cells(self) -> set[tuple[int, int]]:
        """Return the (label, SNR in dB) of every cell that is written."""
        return self.cells.done_cells()

    def missing_cells(self) -> list[tuple[int, int]]:
        """Return the (label, SNR in dB) of every cell still to be written, in the order of the file."""
        done = self.done_cells()
        return [cell for cell in self.layout.cells if cell not in done]

    def finish(self) -> Path:
        """Give the file its name and return it.

        Raises:
            DatasetError: If cells are missing.
        """
        missing = self.missing_cells()
        if missing:
            label, snr = missing[0]
            first = f"{self.layout.classes.names[label]} at {snr} dB"
            raise DatasetError(
                f"{len(missing)} of {self.layout.cell_count} cells are not written, {first} first",
                where=str(self.path),
                action="write them, then finish",
            )
        with self.cells.partial.open("r+b") as file:
            os.fsync(file.fileno())
        self.cells.partial.replace(self.path)
        self.cells.journal.unlink(missing_ok=True)
        return self.path

    def discard(self) -> None:
        """Delete the unfinished file."""
        self.cells.partial.unlink(missing_ok=True)
        self.cells.journal.unlink(missing_ok=True)

    def _begin(self, partial: Path, journal: Path, header: bytes) -> None:
        journal.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
        free, needed = shutil.disk_usage(partial.parent).free, len(self.layout) * (FRAME_BYTES + 200)
        if needed > free:
            raise ConfigError(
                f"the file needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB left",
                where=str(self.path),
                action="ask for fewer frames per cell, or write to another disk",
            )
        _make_empty(partial, self.layout, self._attributes)
        # The journal is made last and whole: a file without it is begun again.
        fresh = journal.with_suffix(".new")
        fresh.write_bytes(header + bytes(self.layout.cell_count))
        fresh.replace(journal)


def _checked_layout(layout: CellLayout) -> CellLayout:
    labels, snrs_db, classes = layout.labels, layout.snrs_db, len(layout.classes)
    if layout.frames_per_cell < 1:
        raise ConfigError(f"frames per cell is {layout.frames_per_cell}", allowed="1 or more; 4096 in the original")
    if not labels or len(set(labels)) != len(labels) or not set(labels) <= set(range(classes)):
        raise ConfigError(f"the classes are {labels}", allowed=f"different numbers from 0 to {classes - 1}")
    if not snrs_db or len(set(snrs_db)) != len(snrs_db):
        raise ConfigError(f"the SNRs are {snrs_db}", allowed="one or more, all different, in dB")
    return layout


def _stored(block: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """Return (n, 2, 1024) frames as they are stored: float32 (n, 1024, 2), contiguous."""
    if block.ndim != 3 or block.shape[1:] != (2, FRAME_LENGTH) or block.dtype != np.float32:
        raise DatasetError(
            f"the frames are {block.dtype} {block.shape}", where=where, allowed=f"float32 (n, 2, {FRAME_LENGTH})"
        )
    if not np.isfinite(block).all():
        raise DatasetError("the frames hold NaN or infinite values", where=where, allowed="finite values")
    return np.ascontiguousarray(block.transpose(0, 2, 1))


def _make_empty(path: Path, layout: CellLayout, attributes: Mapping[str, Any]) -> None:
    """Write the file with all labels, and room for the frames."""
    count, per_cell = len(layout), layout.frames_per_cell
    with h5py.File(path, "w", libver="earliest") as file:
        for name, value in attributes.items():
            file.attrs[name] = np.array(value, dtype="S") if isinstance(value, list) else value
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        early.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        early.set_obj_track_times(False)
        for name, shape, kind in (
            ("X", (count, FRAME_LENGTH, 2), h5py.h5t.IEEE_F32LE),
            ("Y", (count, len(layout.classes)), h5py.h5t.STD_I64LE),
            ("Z", (count, 1), h5py.h5t.STD_I64LE),
        ):
            h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), early)
        one_hot, snrs = file["Y"], file["Z"]
        for cell, (label, snr) in enumerate(layout.cells):
            rows = slice(cell * per_cell, (cell + 1) * per_cell)
            # Whole arrays: h5py would broadcast a smaller one row by row.
            one_hot[rows] = np.tile(np.eye(len(layout.classes), dtype=np.int64)[label], (per_cell, 1))
            snrs[rows] = np.full((per_cell, 1), snr, dtype=np.int64)


def _frames_offset(path: Path) -> int:
    with h5py.File(path, "r") as file:
        return int(file["X"].id.get_offset())
