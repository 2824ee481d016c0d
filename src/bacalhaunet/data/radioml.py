"""Reader of files in RadioML 2018.01A's layout: HDF5 with X (frames), Y (one-hot classes) and Z (SNR labels).

Scattered rows are read fast, in bounded memory and from any process or thread.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.dataset import Indices
from bacalhaunet.data.hdf5_rows import RowReader, row_reader
from bacalhaunet.data.layout import CellLayout
from bacalhaunet.errors import DatasetError
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import RADIOML, classes_named

ORDER = "frames in order of modulation, SNR, frame; the same SNRs and number of frames in every cell"
_SNRS_AT_MOST = 256
REMAKE = "download the file again, or make one with: bacalhaunet twin make FILE"


class Frames(NamedTuple):
    """Frames and what they are.

    Attributes:
        frames: float32 (n, 2, length), I then Q.
        labels: int64 (n,), class numbers.
        snrs_db: float32 (n,), SNR labels in dB.
    """

    frames: NDArray[np.float32]
    labels: NDArray[np.int64]
    snrs_db: NDArray[np.float32]


class _Handles(NamedTuple):
    """What a process has open."""

    process: int
    file: Any
    rows: dict[str, RowReader]


class RadioMLFile:
    """A file in RadioML 2018.01A's layout, read frame by frame and never held in memory.

    X is float32 (N, length, 2), Y one-hot (N, classes), Z the SNR labels in dB (N, 1). Any number of frames per cell,
    any frame length, any classes and any regular subset of them and of SNRs is read. The names of the classes are the
    file's data set or attribute ``names``; without one, 24 classes are RadioML's and others are numbered. The object
    pickles; every process opens the file for itself, so it serves worker processes, started by fork or spawn, and
    threads.

    Args:
        path: The HDF5 file.

    Attributes:
        layout: Classes, SNRs and frames per cell.
        frame_length: Complex samples of a frame.

    Raises:
        DatasetError: If the file is missing, not HDF5, truncated, of the wrong shape or type, or out of order at the
            edges of its cells. ``bacalhaunet data check`` looks at every frame.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._handles: _Handles | None = None
        handles = self._open()
        classes = read_classes(handles.file, str(self.path))
        count, self.frame_length, _ = handles.file["X"].shape
        self.layout = find_layout(handles.rows["Y"], handles.rows["Z"], count, str(self.path), classes)

    def __enter__(self) -> RadioMLFile:
        """Return the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the open handles."""
        return {**self.__dict__, "_handles": None}

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.layout)

    @property
    def frames_per_cell(self) -> int:
        """Frames of one modulation at one SNR."""
        return self.layout.frames_per_cell

    @property
    def snrs_db(self) -> tuple[int, ...]:
        """SNR labels in dB in the order of the file."""
        return self.layout.snrs_db

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the file."""
        return self.layout.names

    def close(self) -> None:
        """Close what this process has open. Reading again opens it again."""
        if self._handles is not None and self._handles.process == os.getpid():
            self._handles.file.close()
        self._handles = None

    def read(self, indices: Indices) -> Frames:
        """Return the frames with the given numbers, in the order asked for.

        Args:
            indices: int64 (n,), each 0 to ``len(self) - 1``; repeats are allowed.

        Returns:
            Frames, labels and SNRs. Their labels are those stored with them.

        Raises:
            IndexError: If an index is outside the file.
            DatasetError: If the file ends early, or a frame's label or SNR is not what its place says.
        """
        indices = np.asarray(indices, dtype=np.int64)
        if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < len(self)):
            raise IndexError(f"frames {indices.min()} to {indices.max()} of {self.path}, which has {len(self)}")
        rows = self._open().rows
        try:
            samples, one_hot, snrs = (rows[name].read(indices) for name in "XYZ")
        except OSError as error:
            raise DatasetError(f"frames cannot be read: {error}", where=str(self.path), action=REMAKE) from error
        self._compare(indices, one_hot, snrs)
        frames = np.ascontiguousarray(samples.transpose(0, 2, 1), dtype=np.float32)
        return Frames(frames, self.layout.labels_of(indices), self.layout.snrs_of(indices).astype(np.float32))

    def _compare(self, indices: Indices, one_hot: NDArray[Any], snrs: NDArray[Any]) -> None:
        """Raise if stored labels are not what the layout says; a wrong label would spoil results silently."""
        wrong = (one_hot.argmax(axis=1) != self.layout.labels_of(indices)) | (
            snrs.reshape(len(indices)) != self.layout.snrs_of(indices)
        )
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            found = f"{self.layout.classes.names[int(one_hot[at].argmax())]} at {snrs.reshape(-1)[at]} dB"
            raise DatasetError(
                f"a frame is out of order: it is labelled {found}",
                where=f"{self.path}, {self.layout.describe(int(indices[at]))}",
                allowed=ORDER,
                action=REMAKE,
            )

    def _open(self) -> _Handles:
        if self._handles is None or self._handles.process != os.getpid():
            file = open_radioml(self.path)
            rows = {name: row_reader(self.path, file[name]) for name in "XYZ"}
            self._handles = _Handles(os.getpid(), file, rows)
        return self._handles


def open_radioml(path: Path) -> Any:
    """Open an HDF5 file and check the shapes and types of X, Y and Z.

    Returns:
        The open ``h5py.File``.

    Raises:
        DatasetError: If the file is missing, not HDF5, truncated, or X, Y, Z are missing or of another shape or type.
    """
    if not path.is_file():
        raise DatasetError("there is no such file", where=str(path), action=REMAKE)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DatasetError(
            f"the file cannot be opened as HDF5, or is truncated: {error}",
            where=f"{path} ({path.stat().st_size} bytes)",
            allowed="an HDF5 file with X, Y and Z as in RadioML 2018.01A",
            action=REMAKE,
        ) from error
    try:
        check_shapes(file, str(path))
    except BaseException:
        file.close()
        raise
    return file


def read_classes(file: Any, where: str) -> ClassSet:
    """Return the classes of an open file: those it names, RadioML's where it has 24, else numbered ones.

    Raises:
        DatasetError: If it does not name as many as its labels have.
    """
    count, names = file["Y"].shape[1], _texts(file, "names")
    if names is None:
        return RADIOML if count == len(RADIOML) else classes_named([f"class {number}" for number in range(count)])
    if len(names) != count or len(set(names)) != count:
        raise DatasetError(
            f"the file names {len(names)} classes: {', '.join(names[:30])}",
            where=where,
            allowed=f"{count} different names",
        )
    groups = _texts(file, "group_of")
    if groups is None:
        return classes_named(names)
    if len(groups) != count:
        raise DatasetError(
            f"the file names {len(groups)} groups", where=where, allowed=f"one for each of {count} classes"
        )
    return ClassSet(tuple(names), tuple(groups))


def _texts(file: Any, key: str) -> list[str] | None:
    """Return the texts of a set or attribute; None where the file has none of that name."""
    stored = file.get(key, file.attrs.get(key))
    if stored is None:
        return None
    values = np.ravel(stored[()] if isinstance(stored, h5py.Dataset) else stored)
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def check_shapes(file: Any, where: str) -> None:
    """Raise a DatasetError unless X, Y and Z have RadioML's shapes and types, for any classes and frame length."""
    for name, shape, kinds, words in (
        ("X", (None, 2), "f", "float32 (N, length, 2)"),
        ("Y", (None,), "iuf", "a number type (N, classes), one-hot"),
        ("Z", (1,), "iuf", "a number type (N, 1), SNR in dB"),
    ):
        data = file.get(name)
        if not isinstance(data, h5py.Dataset):
            found = ", ".join(sorted(file)) or "nothing"
            raise DatasetError(f"there is no data set {name}; the file holds {found}", where=where, allowed=words)
        wrong_type = data.dtype.kind not in kinds or (name == "X" and data.dtype.itemsize != 4)
        if data.shape is None or not _fits(data.shape[1:], shape) or wrong_type:
            raise DatasetError(
                f"{name} is {data.dtype} {data.shape}",
                where=f"{where}, data set {name}",
                allowed=words,
                action=f"convert {name} to that type and shape, or {REMAKE}",
            )
    sizes = {name: file[name].shape[0] for name in "XYZ"}
    if len(set(sizes.values())) != 1 or sizes["X"] == 0:
        raise DatasetError(
            "X, Y and Z have " + ", ".join(f"{size}" for size in sizes.values()) + " rows",
            where=where,
            allowed="the same number in all three, above 0",
            action=REMAKE,
        )


def _fits(sizes: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    """Say whether sizes above 0 are those of a shape, None standing for any."""
    return len(sizes) == len(shape) and all(
        size > 0 and wanted in (None, size) for size, wanted in zip(sizes, shape, strict=True)
    )


def find_layout(one_hot: RowReader, snrs: RowReader, count: int, where: str, classes: ClassSet = RADIOML) -> CellLayout:
    """Read the layout from the labels at the edges of the cells.

    Args:
        one_hot: Rows of Y.
        snrs: Rows of Z.
        count: Number of rows.
        where: The file, for messages.
        classes: What the columns of Y mean.

    Raises:
        DatasetError: If the frames are not in RadioML's order.
    """
    cell = _same_rows(one_hot, _same_rows(snrs, count))
    if count > cell * len(classes) * _SNRS_AT_MOST:
        raise _out_of_order(one_hot, snrs, cell, where, classes)
    starts = np.arange(0, count, cell)
    labels, levels = _labels_at(one_hot, snrs, starts)
    changes = np.flatnonzero(labels != labels[0])
    per_class = int(changes[0]) if len(changes) else len(starts)
    layout = CellLayout(cell, tuple(map(int, labels[::per_class])), tuple(map(int, levels[:per_class])), classes)
    inside = starts < len(layout)
    for rows in (starts, np.minimum(starts + cell, count) - 1):
        found_labels, found_snrs = _labels_at(one_hot, snrs, rows)
        wrong = (found_labels != layout.labels_of(starts % len(layout))) | ~inside
        wrong |= found_snrs != layout.snrs_of(starts)
        if wrong.any():
            raise _out_of_order(one_hot, snrs, int(rows[np.flatnonzero(wrong)[0]]), where, classes)
    unique = len(set(layout.labels)) == len(layout.labels) and len(set(layout.snrs_db)) == len(layout.snrs_db)
    if len(layout) != count or not unique:
        raise DatasetError(
            f"{count} frames are not whole cells of {cell} frames, {per_class} SNRs a class",
            where=where,
            allowed=ORDER,
            action=REMAKE,
        )
    return layout


def _labels_at(one_hot: RowReader, snrs: RowReader, rows: Indices) -> tuple[Indices, Indices]:
    labels = np.asarray(one_hot.read(rows)).argmax(axis=1).astype(np.int64)
    return labels, np.asarray(snrs.read(rows)).reshape(len(rows)).astype(np.int64)


def _out_of_order(one_hot: RowReader, snrs: RowReader, row: int, where: str, classes: ClassSet) -> DatasetError:
    label, snr = (int(values[0]) for values in _labels_at(one_hot, snrs, np.array([row])))
    return DatasetError(
        f"a frame is out of order: it is labelled {classes.names[label]} at {snr} dB",
        where=f"{where}, frame {row}",
        allowed=ORDER,
        action=REMAKE,
    )


def _same_rows(reader: RowReader, count: int) -> int:
    """Return how many of the first ``count`` rows are equal to the first, read by blocks that grow."""
    first, start, block = reader.read(np.array([0])), 0, 4096
    while start < count:
        rows = reader.read(np.arange(start, min(start + block, count)))
        different = np.flatnonzero((rows != first).any(axis=1))
        if len(different):
            return start + int(different[0])
        start, block = start + block, min(2 * block, 65536)
    return count
