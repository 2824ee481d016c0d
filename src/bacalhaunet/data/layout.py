"""Where the frames of a RadioML file lie: ordered by modulation, then SNR, then frame."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.radio.modulations import NAMES, SNRS_DB

Indices: TypeAlias = NDArray[np.int64]
"""Frame numbers of a file, int64."""


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
    """

    frames_per_cell: int
    labels: tuple[int, ...] = tuple(range(len(NAMES)))
    snrs_db: tuple[int, ...] = SNRS_DB

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
        return tuple(NAMES[label] for label in self.labels)

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
        return f"frame {index} ({NAMES[label]}, {snr} dB, number {index % self.frames_per_cell} of its cell)"
