"""Check of a whole RadioML file, frame by frame, in bounded memory, and what its frames are like."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.hdf5_rows import RowReader, row_reader
from bacalhaunet.data.layout import CellLayout
from bacalhaunet.data.radioml import ORDER, REMAKE, find_layout, open_radioml, read_classes
from bacalhaunet.errors import DatasetError
from bacalhaunet.radio.modulations import RADIOML, SNRS_DB

CLIP = (-2.0, 3.0)
"""The range that the networks of the 2021 challenge clip their input to."""

BLOCK = 512
"""Frames looked at together: 4 MiB."""


@dataclass(frozen=True)
class GroupSummary:
    """What the frames of a class, or of an SNR label, are like.

    Attributes:
        frames: Number of frames.
        power: Mean of |x|², over all samples.
        power_std: Standard deviation of the frames' own mean powers.
        minimum: Smallest I or Q value.
        maximum: Largest I or Q value.
        outside_clip: Share of I and Q values outside [-2, 3].
    """

    frames: int
    power: float
    power_std: float
    minimum: float
    maximum: float
    outside_clip: float


@dataclass(frozen=True)
class FileSummary:
    """A file that passed the check.

    Attributes:
        path: The file.
        size_bytes: Its size.
        storage: How X is stored: ``contiguous``, or its chunks and compression.
        frames: Number of frames.
        frames_per_cell: Frames of each modulation at each SNR; 4096 in the original.
        modulations: Names of the classes, in order.
        snrs_db: SNR labels in dB, in order.
        by_modulation: Summary of each class.
        by_snr: Summary of each SNR label.
        notes: What is allowed but unlike the original, in words.
    """

    path: str
    size_bytes: int
    storage: str
    frames: int
    frames_per_cell: int
    modulations: tuple[str, ...]
    snrs_db: tuple[int, ...]
    by_modulation: dict[str, GroupSummary]
    by_snr: dict[int, GroupSummary]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return asdict(self)


@dataclass(frozen=True)
class _Sums:
    """Running sums over frames; they add."""

    frames: int = 0
    power: float = 0.0
    power_square: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    outside: int = 0
    silent: int = 0

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.frames + other.frames,
            self.power + other.power,
            self.power_square + other.power_square,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.outside + other.outside,
            self.silent + other.silent,
        )

    def summary(self, frame_length: int) -> GroupSummary:
        mean = self.power / self.frames
        spread = math.sqrt(max(self.power_square / self.frames - mean**2, 0.0))
        outside = self.outside / (self.frames * 2 * frame_length)
        return GroupSummary(self.frames, mean, spread, self.minimum, self.maximum, outside)


def check_file(path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None) -> FileSummary:
    """Look at every frame and label of a file in RadioML 2018.01A's layout.

    Args:
        path: The HDF5 file, of any size.
        progress: Called with (frames done, frames in all).

    Returns:
        What the file holds.

    Raises:
        DatasetError: If the file cannot be opened; if shapes or types are wrong; at the first frame that is out of
            order, not one-hot or not finite. The message says which.
    """
    path = Path(path)
    file = open_radioml(path)
    try:
        rows = {name: row_reader(path, file[name]) for name in "XYZ"}
        (count, length, _), storage = file["X"].shape, _storage(file["X"])
        layout = find_layout(rows["Y"], rows["Z"], count, str(path), read_classes(file, str(path)))
        sums: dict[tuple[int, int], _Sums] = dict.fromkeys(layout.cells, _Sums())
        for cell, block in _blocks(layout):
            _check_labels(rows, block, cell, layout, str(path))
            sums[cell] += _check_frames(rows["X"], block, layout, str(path))
            if progress is not None:
                progress(int(block[-1]) + 1, count)
    except OSError as error:
        raise DatasetError(f"the file cannot be read: {error}", where=str(path), action=REMAKE) from error
    finally:
        file.close()
    return _summarize(path, storage, length, layout, sums)


def _blocks(layout: CellLayout) -> Iterator[tuple[tuple[int, int], NDArray[np.int64]]]:
    """Yield each cell with its frame numbers, at most ``BLOCK`` at a time."""
    per_cell = layout.frames_per_cell
    for number, cell in enumerate(layout.cells):
        for start in range(0, per_cell, BLOCK):
            first = number * per_cell
            yield cell, np.arange(first + start, first + min(start + BLOCK, per_cell))


def _check_labels(
    rows: dict[str, RowReader], block: NDArray[np.int64], cell: tuple[int, int], layout: CellLayout, where: str
) -> None:
    one_hot, snrs = rows["Y"].read(block), rows["Z"].read(block).reshape(len(block))
    wrong = ((one_hot != 0) & (one_hot != 1)).any(axis=1) | (one_hot.sum(axis=1) != 1)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise DatasetError(
            f"a label is not one-hot: {one_hot[at].tolist()}",
            where=f"{where}, data set Y, {layout.describe(int(block[at]))}",
            allowed=f"a single 1 among {len(layout.classes)} numbers, the rest 0",
            action=REMAKE,
        )
    wrong = (one_hot.argmax(axis=1) != cell[0]) | (snrs != cell[1])
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        label = layout.classes.names[int(one_hot[at].argmax())]
        raise DatasetError(
            f"a frame is out of order: it is labelled {label} at {snrs[at]} dB",
            where=f"{where}, {layout.describe(int(block[at]))}",
            allowed=ORDER,
            action=REMAKE,
        )


def _check_frames(reader: RowReader, block: NDArray[np.int64], layout: CellLayout, where: str) -> _Sums:
    values = reader.read(block).reshape(len(block), -1)
    power = 2.0 * np.einsum("ij,ij->i", values, values).astype(np.float64) / values.shape[1]
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(power).all() and math.isfinite(low) and math.isfinite(high)):
        bad = np.argwhere(~np.isfinite(values))
        if not len(bad):  # finite values whose squares overflow float32
            bad = np.argwhere(np.abs(values) == np.abs(values).max())
        at, place = (int(number) for number in bad[0])
        raise DatasetError(
            f"a value is {values[at, place]}",
            where=f"{where}, data set X, {layout.describe(int(block[at]))}, sample {place // 2}, {'IQ'[place % 2]}",
            allowed="finite float32 values of the order of 1",
            action=REMAKE,
        )
    outside = 0 if CLIP[0] <= low and high <= CLIP[1] else int(((values < CLIP[0]) | (values > CLIP[1])).sum())
    silent = int((power == 0).sum())
    return _Sums(len(block), float(power.sum()), float((power**2).sum()), low, high, outside, silent)


def _storage(dataset: Any) -> str:
    if dataset.chunks is None:
        return "contiguous"
    return f"chunks of {dataset.chunks}" + (f", {dataset.compression}" if dataset.compression else "")


def _summarize(
    path: Path, storage: str, length: int, layout: CellLayout, sums: dict[tuple[int, int], _Sums]
) -> FileSummary:
    by_label = {label: sum((sums[label, snr] for snr in layout.snrs_db), _Sums()) for label in layout.labels}
    by_snr = {snr: sum((sums[label, snr] for label in layout.labels), _Sums()) for snr in layout.snrs_db}
    return FileSummary(
        path=str(path),
        size_bytes=path.stat().st_size,
        storage=storage,
        frames=len(layout),
        frames_per_cell=layout.frames_per_cell,
        modulations=layout.names,
        snrs_db=layout.snrs_db,
        by_modulation={layout.classes.names[label]: total.summary(length) for label, total in by_label.items()},
        by_snr={snr: total.summary(length) for snr, total in by_snr.items()},
        notes=tuple(_notes(layout, sum(by_snr.values(), _Sums()))),
    )


def _notes(layout: CellLayout, total: _Sums) -> Iterator[str]:
    if layout.classes != RADIOML:
        yield f"{len(layout.classes)} classes of its own"
    elif layout.labels != tuple(range(len(RADIOML))):
        yield f"{len(layout.labels)} of the {len(RADIOML)} modulations, or in another order than the original's"
    if layout.snrs_db != SNRS_DB:
        yield f"SNR labels {layout.snrs_db}; the original has {SNRS_DB[0]} to {SNRS_DB[-1]} dB in steps of 2"
    if layout.frames_per_cell != 4096:
        yield f"{layout.frames_per_cell} frames per cell; the original has 4096"
    if total.silent:
        yield f"{total.silent} frames hold zeros only"
    if not 0.5 <= total.power / total.frames <= 8:
        yield f"mean power {total.power / total.frames:.3g}; RadioML's frames are scaled to about 1 (SSB classes above)"
