"""Frames in memory as a data set, from arrays or an .npz file."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bacalhaunet.data.dataset import Dataset, Frames, HeldFrames, Indices
from bacalhaunet.data.layout import SPLIT_SEED, split_cells
from bacalhaunet.data.recordings.frames import READY_POWER, FrameCutter, Framing
from bacalhaunet.data.recordings.recording import recording_of
from bacalhaunet.errors import DatasetError
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import classes_named

LEAST_FRAMES = 3
"""Frames of a class, one each for training, validation and test."""


class Arrays(Dataset):
    """Frames in memory, split by a seed: of each class, at each SNR where it is known, 10 % are test.

    Of the rest 5 % are validation. A mean power of 0.5 to 8 leaves frames as they are; else each is divided by its
    standard deviation, as ``classify`` does with ready frames.

    >>> noise = np.random.default_rng(1).standard_normal((40, 2, 64)).astype(np.float32)
    >>> data = Arrays(noise, np.arange(40) % 2, ["quiet", "loud"])
    >>> data.classes.names, data.frame_length, len(data.train), len(data.test)
    (('quiet', 'loud'), 64, 34, 4)

    Args:
        frames: Real (n, 2, length), I then Q, or complex (n, length).
        labels: Class numbers (n,), or names of classes (n,).
        names: Names of the classes by number; may be left out where the labels are names.
        snr: SNR labels in dB (n,), if they are known.
        groups: The group of each class; see ``ClassSet``.
        seed: Of the split.
        name: What they are frames of, for messages.

    Raises:
        DatasetError: If shapes or types differ from these, a label is no class, a value is not finite, or a class has
            fewer than three frames.
    """

    def __init__(
        self,
        frames: ArrayLike,
        labels: ArrayLike,
        names: Sequence[str] | None = None,
        snr: ArrayLike | None = None,
        *,
        groups: Sequence[str] = (),
        seed: int = SPLIT_SEED,
        name: str = "arrays",
    ) -> None:
        values = _frames(np.asarray(frames), name)
        numbers, classes = _labels(np.asarray(labels), names, groups, len(values), name)
        snr_db = None if snr is None else _snr(np.asarray(snr), len(values), name)
        count = np.bincount(numbers, minlength=len(classes))
        if count.min() < LEAST_FRAMES:
            raise DatasetError(
                f"the class {classes.names[int(count.argmin())]} has {count.min()} frames",
                where=name,
                allowed=f"{LEAST_FRAMES} or more, one each for training, validation and test",
            )
        split = split_cells(_cells(numbers, snr_db), seed=seed)
        whole = Frames(HeldFrames(values), np.arange(len(values)), classes, values.shape[2], numbers, snr_db, name)
        parts = (whole.take(np.sort(rows)) for rows in (split.train, split.validation, split.test))
        super().__init__(name, classes, values.shape[2], *parts)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Arrays:
        """Open an .npz file with ``frames``, ``labels``, ``names`` and, where they are known, ``snr`` and ``groups``.

        Raises:
            DatasetError: If it is damaged or lacks one of these.
        """
        where, allowed = str(path), "frames, labels, names, and if they are known snr and groups"
        try:
            with np.load(path, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile, KeyError) as error:
            raise DatasetError(
                f"the file cannot be read: {error}", where=where, allowed=f"an .npz file with {allowed}"
            ) from error
        if "frames" not in stored or "labels" not in stored:
            raise DatasetError(f"the file holds {', '.join(stored) or 'nothing'}", where=where, allowed=allowed)
        names, groups = stored.get("names"), stored.get("groups", np.array([], str))
        return Arrays(
            stored["frames"],
            stored["labels"],
            None if names is None else [str(name) for name in names],
            stored.get("snr"),
            groups=[str(group) for group in groups],
            name=Path(path).name,
        )


def _frames(values: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Return float32 (n, 2, length), scaled as networks take them."""
    if values.ndim == 2 and values.dtype.kind == "c":
        values = np.stack([values.real, values.imag], axis=1)
    if values.ndim != 3 or values.shape[1] != 2 or values.dtype.kind not in "fiu" or not values.size:
        raise DatasetError(
            f"the frames are {values.dtype} {values.shape}",
            where=where,
            allowed="real (n, 2, length), I then Q, or complex (n, length)",
        )
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))[0])
            raise DatasetError("a value is NaN or infinite", where=f"{where}, frame {bad}", allowed="finite values")
        if READY_POWER[0] <= 2 * float(np.mean(np.square(values, dtype=np.float64))) <= READY_POWER[1]:
            return np.ascontiguousarray(values, np.float32)
    cutter = FrameCutter(recording_of(values), Framing(values.shape[2], normalization="frame"))
    return cutter.batch(0, len(cutter)).frames


def _labels(
    values: NDArray[Any], names: Sequence[str] | None, groups: Sequence[str], count: int, where: str
) -> tuple[NDArray[np.int64], ClassSet]:
    """Return class numbers (n,) and the classes."""
    if values.shape != (count,) or values.dtype.kind not in "iuUS":
        raise DatasetError(
            f"the labels are {values.dtype} {values.shape}",
            where=where,
            allowed=f"class numbers, or names of classes, ({count},)",
        )
    if values.dtype.kind in "US":
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values]
        classes = classes_named(names if names is not None else sorted(set(texts)), groups)
        unknown = sorted(set(texts) - set(classes.names))
        if unknown:
            raise DatasetError(f"a label is {unknown[0]!r}", where=where, allowed=", ".join(classes.names))
        place = {name: number for number, name in enumerate(classes.names)}
        return np.array([place[text] for text in texts], np.int64), classes
    if names is None:
        raise DatasetError("the classes have no names", where=where, allowed="names, one for each class number")
    classes = classes_named(names, groups)
    if values.min() < 0 or values.max() >= len(classes):
        raise DatasetError(
            f"labels run from {values.min()} to {values.max()}",
            where=where,
            allowed=f"0 to {len(classes) - 1}, the numbers of {', '.join(classes.names)}",
        )
    return values.astype(np.int64), classes


def _snr(values: NDArray[Any], count: int, where: str) -> NDArray[np.float32]:
    if values.shape != (count,) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise DatasetError(
            f"the SNRs are {values.dtype} {values.shape}", where=where, allowed=f"finite values in dB, ({count},)"
        )
    return values.astype(np.float32)


def _cells(labels: NDArray[np.int64], snr_db: NDArray[np.float32] | None) -> list[Indices]:
    """Return the frames of each class at each SNR; of each class alone where a cell could not be divided."""
    by_class = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
    if snr_db is None:
        return by_class
    cells = [rows[snr_db[rows] == snr] for rows in by_class for snr in np.unique(snr_db[rows])]
    return cells if min(map(len, cells)) >= LEAST_FRAMES else by_class
