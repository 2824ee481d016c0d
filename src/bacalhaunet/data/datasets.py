"""The kinds of data sets: ``RadioML``, ``Arrays``, ``Recordings``, and generated, ``Twin`` and ``Field``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.arrays import Arrays
from bacalhaunet.data.dataset import Dataset, Frames, Indices, file_identity
from bacalhaunet.data.generated import Field, Generated, Twin
from bacalhaunet.data.labelled_recordings import Recordings
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.errors import MissingExtraError, how_to_install

if TYPE_CHECKING:
    from bacalhaunet.data.radioml import RadioMLFile

__all__ = ["GENERATED", "Arrays", "Field", "Generated", "RadioML", "Recordings", "Twin"]

GENERATED: dict[str, Callable[..., Dataset]] = {"twin": Twin, "field": Field}
"""The generated data sets by name."""


class RadioML(Dataset):
    """The frames of an HDF5 file with X (frames), Y (one-hot classes) and Z (SNR labels), ordered cell by cell.

    Any number of classes and any frame length; see ``data.radioml.RadioMLFile`` for the layout and the names.

    Args:
        path: The file.

    Raises:
        DatasetError: If it is damaged or of another layout.
        MissingExtraError: If h5py is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            from bacalhaunet.data.radioml import RadioMLFile
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"{path} needs the package {error.name}: {how_to_install('train')}") from error
        file = RadioMLFile(path)
        layout, store, split = file.layout, _FileFrames(file), radioml_split(file.layout)

        def frames(rows: Indices) -> Frames:
            labels, snr_db = layout.labels_of(rows), layout.snrs_of(rows).astype(np.float32)
            return Frames(store, rows, layout.classes, file.frame_length, labels, snr_db, str(file.path))

        parts = frames(split.train), frames(np.sort(split.validation)), frames(np.sort(split.test))
        super().__init__(Path(path).name, layout.classes, file.frame_length, *parts)


class _FileFrames:
    """Frames of a file; a label that is not what its place says is an error."""

    def __init__(self, file: RadioMLFile) -> None:
        self.file = file

    def read(self, rows: Indices) -> NDArray[np.float32]:
        return self.file.read(rows).frames

    def identity(self) -> str:
        return file_identity(self.file.path)
