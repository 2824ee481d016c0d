"""The order of the frames in a RadioML file, and the split into train, validation and test cell by cell."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.dataset import PARTS, Indices, Part
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import RADIOML, SNRS_DB


@dataclass(frozen=True)
class CellLayout:
    r"""The regular order of a RadioML file.

    .. math:: \text{index} = (m \, S + s) \, F + f

    where `m` and `s` are the positions of the frame's modulation and SNR in ``labels`` and ``snrs_db``, `S` is the
    number of SNRs, `F` is ``frames_per_cell`` and `f` the frame in its cell. A *cell* is all frames of one modulation
    at one SNR.

    Attributes:
        frames_per_cell: Frames of a cell; 4096 in RadioML 2018.01A.
        labels: Class numbers in the order of the file.
        snrs_db: SNR labels in dB in the order of the file.
        classes: What the class numbers mean.
    """

    frames_per_cell: int
    labels: tuple[int, ...] = tuple(range(len(RADIOML)))
    snrs_db: tuple[int, ...] = SNRS_DB
    classes: ClassSet = RADIOML

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.cell_count * self.frames_per_cell

    @property
    def cell_count(self) -> int:
        """Number of pairs of modulation and SNR."""
        return len(self.labels) * len(self.snrs_db)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the file."""
        return tuple(self.classes.names[label] for label in self.labels)

    @property
    def cells(self) -> list[tuple[int, int]]:
        """The (label, SNR in dB) of every cell in the order of the file."""
        return [(label, snr) for label in self.labels for snr in self.snrs_db]

    def cell_number(self, label: int, snr_db: int) -> int:
        """Return the position of a cell; its first frame is ``cell_number * frames_per_cell``.

        Raises:
            ValueError: If the layout has no such cell.
        """
        return self.labels.index(label) * len(self.snrs_db) + self.snrs_db.index(snr_db)

    def labels_of(self, indices: Indices) -> NDArray[np.int64]:
        """Return the class number of each frame, int64."""
        cell = np.asarray(indices) // self.frames_per_cell
        return np.asarray(self.labels, dtype=np.int64)[cell // len(self.snrs_db)]

    def snrs_of(self, indices: Indices) -> NDArray[np.int64]:
        """Return the SNR label of each frame in dB, int64."""
        cell = np.asarray(indices) // self.frames_per_cell
        return np.asarray(self.snrs_db, dtype=np.int64)[cell % len(self.snrs_db)]

    def select(
        self,
        indices: Indices,
        *,
        snr_min_db: float | None = None,
        snr_max_db: float | None = None,
        labels: Collection[int] | None = None,
    ) -> Indices:
        """Return the frames of ``indices`` inside the given SNRs (both ends included) and classes, order kept."""
        keep = np.ones(len(indices), dtype=bool)
        snrs = self.snrs_of(indices)
        if snr_min_db is not None:
            keep &= snrs >= snr_min_db
        if snr_max_db is not None:
            keep &= snrs <= snr_max_db
        if labels is not None:
            keep &= np.isin(self.labels_of(indices), list(labels))
        return np.asarray(indices, dtype=np.int64)[keep]

    def describe(self, index: int) -> str:
        """Return where frame ``index`` lies, in words."""
        label, snr = int(self.labels_of(np.array([index]))[0]), int(self.snrs_of(np.array([index]))[0])
        return (
            f"frame {index} ({self.classes.names[label]}, {snr} dB, number {index % self.frames_per_cell} of its cell)"
        )


SPLIT_SEED = 2018
"""Seed of the legacy generator that the 2021 ITU challenge prescribes."""


@dataclass(frozen=True)
class Split:
    """Frame numbers of the parts, cell after cell, each cell in its shuffled order.

    Attributes:
        train: The official train part without the validation part.
        validation: The last 5 % of each cell's official train list, rounded up; for choices made during training.
        test: The official test part: the first 10 % of each cell's shuffled list, rounded up.
        official_train: The train part as prescribed: train and validation together.
    """

    train: Indices
    validation: Indices
    test: Indices
    official_train: Indices

    def part(self, name: Part) -> Indices:
        """Return a part by name; ``all`` is every frame in the order of the file.

        Raises:
            ConfigError: If there is no such part.
        """
        if name == "all":
            return np.arange(len(self.official_train) + len(self.test), dtype=np.int64)
        if name not in PARTS:
            raise ConfigError(f"no part of the data is called {name!r}", allowed=", ".join(PARTS))
        parts: dict[str, Indices] = {"train": self.train, "validation": self.validation, "test": self.test}
        return parts[name]


def radioml_split(layout: CellLayout | int = 4096, *, seed: int = SPLIT_SEED) -> Split:
    """Split a file as the challenge prescribes, a cell being all frames of one modulation at one SNR.

    Args:
        layout: The file's layout, or frames per cell of a file with all 24 modulations and 26 SNRs.
        seed: Of the legacy generator. Anything but 2018 is another split than the prescribed one.

    Returns:
        Indices into the file. A file with other cells than the original draws the same shuffles in another order.
    """
    layout = CellLayout(layout) if isinstance(layout, int) else layout
    return split_cells(np.arange(len(layout), dtype=np.int64).reshape(layout.cell_count, -1), seed=seed)


def split_cells(cells: Iterable[Indices], *, seed: int = SPLIT_SEED) -> Split:
    """Split frames cell by cell.

    Each cell's list of indices is shuffled by one legacy ``RandomState(seed)`` for all; the first ``ceil(10 %)`` are
    test. Of a cell's remaining `T` indices the last ``ceil(T / 20)`` are validation, but never all of them.

    >>> [len(part) for part in (split_cells([np.arange(100)]).part(name) for name in PARTS)]
    [100, 85, 5, 10]

    Source:
        The notebook of the ITU AI/ML in 5G challenge 2021, PS-007 ("Lightning-fast modulation classification").
    """
    # The legacy generator and its shuffle are what the challenge prescribes; their stream is frozen by numpy.
    generator = np.random.RandomState(seed)
    parts: list[list[Indices]] = [[], [], [], []]
    for cell in cells:
        shuffled = np.array(cell, dtype=np.int64)
        generator.shuffle(shuffled)
        tests = -(-len(shuffled) // 10)
        trains = len(shuffled) - tests
        end = len(shuffled) - min(-(-trains // 20), max(trains - 1, 0))
        for part, chosen in zip(
            parts, (slice(tests, end), slice(end, None), slice(tests), slice(tests, None)), strict=True
        ):
            part.append(shuffled[chosen])
    return Split(*(np.concatenate(part) for part in parts))
