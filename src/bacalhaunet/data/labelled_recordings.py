"""A folder of recordings as a data set: a folder for each class, or SigMF whose annotations name the classes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.dataset import Dataset, Frames, HeldFrames, Indices, file_identity
from bacalhaunet.data.layout import SPLIT_SEED, split_cells
from bacalhaunet.data.recordings.frames import FrameCutter, Framing
from bacalhaunet.data.recordings.recording import Recording, open_recording, recording_endings
from bacalhaunet.data.recordings.stores import Section
from bacalhaunet.errors import ConfigError, DatasetError
from bacalhaunet.radio.modulations import FRAME_LENGTH, classes_named

STRETCHES = 20
"""Stretches that the recordings of a class are divided into where there are fewer recordings."""

HELD_BYTES = 2**30
"""Frames that take no more than this are cut once and held in memory."""


@dataclass(frozen=True)
class Piece:
    """A signal of one class.

    Attributes:
        label: Name of its class.
        recording: The recording; of an annotation, its samples alone.
    """

    label: str
    recording: Recording


class Recordings(Dataset):
    """Frames cut one after the other from recordings, scaled as ``classify`` does.

    A folder with folders in it has a class for each of them, named as the folder. A folder of SigMF recordings has the
    classes that its annotations name in ``core:label``. Samples are taken as they lie: each recording or annotation
    holds one signal around frequency 0, with about as many samples a symbol as the network will meet.

    Neighbouring frames are alike, so parts are made of whole recordings, or of stretches of some frames where a class
    has fewer than 20 recordings: 10 % of a class's stretches are test, 5 % of the rest validation, chosen by ``seed``.
    A frame that follows one of another part is left out.

    Args:
        folder: The folder.
        frame_length: Complex samples of a frame.
        seed: Of the split.

    Raises:
        DatasetError: If there is no labelled recording, or a class has fewer than three stretches.
        RecordingError: If a recording cannot be read.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, frame_length: int = FRAME_LENGTH, seed: int = SPLIT_SEED
    ) -> None:
        if frame_length < 1:
            raise ConfigError(f"frame_length is {frame_length}", allowed="1 sample or more")
        path = Path(folder)
        pieces = list(_of_folders(path)) or list(_of_annotations(path))
        if not pieces:
            raise DatasetError(
                "the folder holds no labelled recording",
                where=str(path),
                allowed=f"a folder for each class with recordings ({', '.join(sorted(recording_endings()))}), "
                "or SigMF recordings whose annotations have core:label",
            )
        classes = classes_named(sorted({piece.label for piece in pieces}))
        cut = _Cut(pieces, frame_length)
        labels = np.repeat([classes.index(piece.label) for piece in pieces], cut.counts).astype(np.int64)
        owners = np.repeat(np.arange(len(pieces)), cut.counts)
        rows = [_divided(np.flatnonzero(labels == label), owners, seed) for label in range(len(classes))]
        for label, parts in enumerate(rows):
            if not all(map(len, parts)):
                raise DatasetError(
                    f"the recordings of {classes.names[label]} give {int((labels == label).sum())} frames",
                    where=str(path),
                    allowed=f"6 frames of {frame_length} samples or more, for training, validation and test",
                    action="record more, or choose a shorter frame: --data.frame_length",
                )
        store = cut.held() if cut.bytes <= HELD_BYTES else cut
        whole = Frames(store, np.arange(len(labels)), classes, frame_length, labels, None, path.name, owners)
        train, validation, test = (whole.take(np.sort(np.concatenate(part))) for part in zip(*rows, strict=True))
        super().__init__(path.name, classes, frame_length, train, validation, test)


def _of_folders(path: Path) -> Iterator[Piece]:
    """Yield the recordings of the folders in a folder, which name their class."""
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        for file in _recordings(folder):
            yield Piece(folder.name, open_recording(file))


def _recordings(folder: Path) -> list[Path]:
    """Return the files of a folder that are recordings; of SigMF's two, the metadata."""
    endings = recording_endings() - {".sigmf-data"}
    return sorted(file for file in folder.iterdir() if file.is_file() and file.suffix.lower() in endings)


def _of_annotations(path: Path) -> Iterator[Piece]:
    """Yield the annotated stretches of the SigMF recordings of a folder."""
    for file in _recordings(path):
        if not file.suffix.lower().startswith(".sigmf"):
            continue
        recording, before = open_recording(file), 0
        for start, stop, label in _annotated(recording):
            if start < before:
                raise DatasetError(
                    f"two signals are annotated at the same time, {label} the later",
                    where=f"{file}, sample {start}",
                    allowed="one labelled signal at a time, around frequency 0",
                    action="cut the signals apart, each brought to frequency 0, into recordings of their own",
                )
            before = stop
            section = Section(recording.store, start, stop - start)
            yield Piece(label, Recording(file, section, recording.sample_rate))


def _annotated(recording: Recording) -> list[tuple[int, int, str]]:
    """Return the first sample, the end and the label of each labelled annotation, in order."""
    metadata: dict[str, Any] = recording.metadata or {}
    before, found = metadata["global"].get("core:offset", 0), []
    for number, annotation in enumerate(metadata.get("annotations", [])):
        if not annotation.get("core:label"):
            continue
        start = annotation.get("core:sample_start")
        count = annotation.get("core:sample_count", None if start is None else len(recording) - (start - before))
        inside = all(isinstance(value, int) and value >= 0 for value in (start, count))
        if not inside or not before <= start <= start + count <= before + len(recording):
            raise DatasetError(
                f"an annotation is from sample {start}, {count} samples",
                where=f"{recording.path}, annotation {number}",
                allowed=f"whole numbers inside the recording of {len(recording)} samples",
            )
        found.append((start - before, start - before + count, str(annotation["core:label"])))
    return sorted(found)


class _Cut:
    """The whole frames of some signals, one signal after the other."""

    def __init__(self, pieces: list[Piece], frame_length: int) -> None:
        self.cutters = [FrameCutter(piece.recording, Framing(frame_length)) for piece in pieces]
        self.counts = np.array([len(piece.recording) // frame_length for piece in pieces], np.int64)
        self.firsts = np.cumsum(self.counts) - self.counts
        self.frame_length = frame_length

    @property
    def bytes(self) -> int:
        return int(self.counts.sum()) * self.frame_length * 8

    def read(self, rows: Indices) -> NDArray[np.float32]:
        frames = np.empty((len(rows), 2, self.frame_length), np.float32)
        owners = np.searchsorted(self.firsts + self.counts, rows, side="right")
        for place, (owner, row) in enumerate(zip(owners.tolist(), rows.tolist(), strict=True)):
            number = row - int(self.firsts[owner])
            frames[place] = self.cutters[owner].batch(number, number + 1).frames[0]
        return frames

    def identity(self) -> str:
        return "\n".join(file_identity(cutter.recording.path) for cutter in self.cutters)

    def held(self) -> HeldFrames:
        """Return the frames, all cut and in memory."""
        parts = [c.batch(0, n).frames for c, n in zip(self.cutters, self.counts.tolist(), strict=True) if n]
        return HeldFrames(np.concatenate(parts) if parts else np.empty((0, 2, self.frame_length), np.float32))


def _divided(rows: Indices, owners: Indices, seed: int) -> tuple[Indices, Indices, Indices]:
    """Return the training, validation and test frames of one class.

    Args:
        rows: Its frames.
        owners: The recording of every frame there is.
        seed: Of the split.
    """
    edges = np.flatnonzero(np.diff(owners[rows])) + 1
    recordings = [part for part in np.split(rows, edges) if len(part)]
    pieces = -(-STRETCHES // max(len(recordings), 1))
    stretches = [
        stretch
        for recording in recordings
        for stretch in np.array_split(recording, min(pieces, max(1, len(recording) // 2)))
    ]
    split = split_cells([np.arange(len(stretches))], seed=seed)
    part_of = np.zeros(len(stretches), np.int64)
    part_of[split.validation], part_of[split.test] = 1, 2
    chosen: tuple[list[Indices], list[Indices], list[Indices]] = ([rows[:0]], [rows[:0]], [rows[:0]])
    for number, stretch in enumerate(stretches):
        touches = number and part_of[number] != part_of[number - 1] and owners[stretch[0]] == owners[stretch[0] - 1]
        chosen[part_of[number]].append(stretch[1:] if touches else stretch)
    train, validation, test = (np.concatenate(part) for part in chosen)
    return train, validation, test
