"""Labelled frames of any classes and any length, in three parts: what is trained, chosen and judged on.

    data = open_dataset("signals.npz")
    data.classes.names, data.frame_length, len(data.train)

Nothing here imports torch, h5py or scipy; a data set imports what it needs when it is opened.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.errors import ConfigError, DatasetError
from bacalhaunet.radio.modulations import FRAME_LENGTH

if TYPE_CHECKING:
    from bacalhaunet.radio.class_set import ClassSet

Indices: TypeAlias = NDArray[np.int64]
Part: TypeAlias = Literal["all", "train", "validation", "test"]
"""Name of a part of a data set."""

PARTS: tuple[Part, ...] = get_args(Part)
BATCH = 2048
"""Frames read at a time: 16 MB of 1024 samples, many times what one core takes at once."""

SOURCES = (
    "'twin', 'field', an HDF5 file in RadioML 2018.01A's layout, an .npz file with frames, labels and names, a folder "
    "with a folder of recordings for each class, or a folder of SigMF recordings whose annotations have core:label"
)


class Batch(NamedTuple):
    """Some labelled frames.

    Attributes:
        frames: float32 (n, 2, length), I then Q.
        labels: int64 (n,), class numbers.
        snr_db: float32 (n,), SNR labels in dB; None where nothing is known of them.
    """

    frames: NDArray[np.float32]
    labels: NDArray[np.int64]
    snr_db: NDArray[np.float32] | None


class FrameStore(Protocol):
    """Where frames lie, or what makes them."""

    def read(self, rows: Indices) -> NDArray[np.float32]:
        """Return float32 (n, 2, length) of the frames with these numbers, in the order asked for."""
        ...

    def identity(self) -> str:
        """Return a text that is another one when the frames are."""
        ...


@dataclass(frozen=True, eq=False)
class HeldFrames:
    """Frames in memory, float32 (n, 2, length)."""

    values: NDArray[np.float32]

    def read(self, rows: Indices) -> NDArray[np.float32]:
        """Return the frames with these numbers."""
        return self.values[rows]

    def identity(self) -> str:
        """Return a digest of the frames."""
        return hashlib.sha256(np.ascontiguousarray(self.values).data).hexdigest()


@dataclass(frozen=True, eq=False)
class Frames:
    """Labelled frames that are read when they are asked for.

    Attributes:
        store: Where they lie.
        rows: int64 (n,), their numbers there.
        classes: What the labels mean.
        frame_length: Complex samples of a frame.
        labels: int64 (n,), class numbers.
        snr_db: float32 (n,), SNR labels in dB; None where nothing is known of them.
        name: What they are frames of, for messages.
        signals: int64 (n,), a number for each signal that frames were cut from one after the other; None where frames
            do not belong together.
    """

    store: FrameStore
    rows: Indices
    classes: ClassSet
    frame_length: int
    labels: NDArray[np.int64]
    snr_db: NDArray[np.float32] | None = None
    name: str = "frames"
    signals: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.rows)

    def read(self, numbers: Indices | slice) -> NDArray[np.float32]:
        """Return frames float32 (k, 2, length) by their numbers, 0 to ``len(self) - 1``, in the order asked for."""
        return self.store.read(self.rows[numbers])

    def batches(self, size: int = BATCH) -> Iterator[Batch]:
        """Yield all frames in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.batch(slice(start, start + size))

    def batch(self, numbers: Indices | slice) -> Batch:
        """Return some frames with their labels."""
        snr_db = None if self.snr_db is None else self.snr_db[numbers]
        return Batch(self.read(numbers), self.labels[numbers], snr_db)

    def take(self, numbers: Indices | NDArray[np.bool_] | slice) -> Frames:
        """Return some of the frames: by number, or where a bool array (n,) is True."""
        snr_db = None if self.snr_db is None else self.snr_db[numbers]
        signals = None if self.signals is None else self.signals[numbers]
        return replace(self, rows=self.rows[numbers], labels=self.labels[numbers], snr_db=snr_db, signals=signals)

    def select(
        self,
        *,
        snr_min_db: float | None = None,
        snr_max_db: float | None = None,
        names: Collection[str] | None = None,
    ) -> Frames:
        """Return the frames inside the given SNRs (both ends included) and of the given classes, order kept.

        Raises:
            ConfigError: If an SNR is asked for where none is known, a class is unknown, or no frame is left.
        """
        kept = np.ones(len(self), bool)
        for limit, below in ((snr_min_db, True), (snr_max_db, False)):
            if limit is None:
                continue
            if self.snr_db is None:
                raise ConfigError(f"SNR labels are not known of {self.name}", action="leave the limit of the SNR out")
            kept &= (self.snr_db >= limit) if below else (self.snr_db <= limit)
        if names is not None:
            kept &= np.isin(self.labels, [self.classes.index(name) for name in names])
        if not kept.any():
            raise ConfigError(
                f"no frame is left: SNR {snr_min_db} to {snr_max_db} dB, {len(self)} frames before",
                where=self.name,
                allowed=f"SNR labels {self.snr_db.min():g} to {self.snr_db.max():g} dB"
                if self.snr_db is not None and len(self)
                else None,
            )
        return self.take(kept)

    def spread(self, count: int) -> Frames:
        """Return ``count`` frames as far from each other as can be, or all if there are fewer."""
        if len(self) <= count:
            return self
        return self.take(np.linspace(0, len(self) - 1, count).round().astype(np.int64))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Frames in three parts that share no frame.

    Attributes:
        name: The file, folder or profile.
        classes: The classes.
        frame_length: Complex samples of a frame.
        train: For training.
        validation: For choices that are made on the way.
        test: Read once, for the figure that is reported.
    """

    name: str
    classes: ClassSet
    frame_length: int
    train: Frames
    validation: Frames
    test: Frames

    def part(self, name: Part) -> Frames:
        """Return a part by name, its frames in the order in which they lie; ``all`` is the three together.

        Raises:
            ConfigError: If there is no such part.
        """
        if name not in PARTS:
            raise ConfigError(f"no part of the data is called {name!r}", allowed=", ".join(PARTS))
        if name != "all":
            chosen: Frames = getattr(self, name)
            return chosen.take(np.argsort(chosen.rows, kind="stable"))
        parts = (self.train, self.validation, self.test)
        order = np.argsort(np.concatenate([part.rows for part in parts]), kind="stable")

        def joined(name: str) -> Any:
            columns = [getattr(part, name) for part in parts]
            return None if any(column is None for column in columns) else np.concatenate(columns)[order]

        columns = {name: joined(name) for name in ("rows", "labels", "snr_db", "signals")}
        return replace(self.train, **columns)


def file_identity(path: Path) -> str:
    """Return a text that is another one when the file is, or was written again."""
    path = path.resolve()
    state = path.stat()
    return f"{path} {state.st_size} {state.st_mtime_ns}"


def of_length(dataset: Dataset, frame_length: int | None) -> Dataset:
    """Return a data set if its frames have the length asked for; None asks for none.

    Raises:
        ConfigError: If they have another.
    """
    if frame_length not in (None, dataset.frame_length):
        raise ConfigError(
            f"frame_length is {frame_length}",
            where=dataset.name,
            allowed=f"{dataset.frame_length}, the length of its frames; only recordings can be cut to another",
        )
    return dataset


def open_dataset(source: str | os.PathLike[str] | Dataset, *, frame_length: int | None = None) -> Dataset:
    """Open a data set by what it is.

    Args:
        source: ``"twin"`` or ``"field"`` (generated), an HDF5 file in RadioML 2018.01A's layout with any classes and
            frame length, an .npz file (``frames``, ``labels``, ``names``, optionally ``snr``), a folder with a folder
            of recordings for each class, or a folder of SigMF recordings whose annotations have ``core:label``. A
            data set that is open is returned.
        frame_length: Complex samples of a frame. Recordings are cut to it, to 1024 by default; others must have it.

    Raises:
        DatasetError: If it is none of these, or damaged.
        ConfigError: If its frames have another length.
    """
    if isinstance(source, Dataset):
        return of_length(source, frame_length)
    from bacalhaunet.data import datasets

    path, suffix = Path(source), Path(source).suffix.lower()
    if str(source) in datasets.GENERATED:
        return of_length(datasets.GENERATED[str(source)](), frame_length)
    if path.is_dir():
        return datasets.Recordings(path, frame_length=FRAME_LENGTH if frame_length is None else frame_length)
    if not path.is_file():
        raise DatasetError("there are no such data", where=str(path), allowed=SOURCES, action="check the path")
    if suffix == ".npz":
        return of_length(datasets.Arrays.load(path), frame_length)
    if suffix in (".hdf5", ".h5", ".hdf"):
        return of_length(datasets.RadioML(path), frame_length)
    raise DatasetError(f"the ending {suffix!r} says nothing of data", where=str(path), allowed=SOURCES)
