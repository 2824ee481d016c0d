"""The prescribed split of RadioML 2018.01A, and a validation part taken out of its train part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from bacalhaunet.data.layout import CellLayout, Indices
from bacalhaunet.errors import ConfigError

Part: TypeAlias = Literal["all", "train", "validation", "test"]
"""Name of a part of a file."""

PARTS: tuple[Part, ...] = get_args(Part)
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
    """Split a file as the challenge prescribes.

    For each modulation, for each SNR: the cell's list of indices is shuffled by one legacy ``RandomState(2018)``; the
    first ``ceil(10 %)`` are test. Of a cell's remaining `T` indices the last ``ceil(T / 20)`` are validation, but
    never all of them.

    Args:
        layout: The file's layout, or frames per cell of a file with all 24 modulations and 26 SNRs.
        seed: Of the legacy generator. Anything but 2018 is another split than the prescribed one.

    Returns:
        Indices into the file. A file with other cells than the original draws the same shuffles in another order.

    Source:
        The notebook of the ITU AI/ML in 5G challenge 2021, PS-007 ("Lightning-fast modulation classification").
    """
    layout = CellLayout(layout) if isinstance(layout, int) else layout
    count = layout.frames_per_cell
    # The legacy generator and its shuffle are what the challenge prescribes; their stream is frozen by numpy.
    generator = np.random.RandomState(seed)
    table = np.arange(len(layout), dtype=np.int64).reshape(layout.cell_count, count)
    for cell in table:
        generator.shuffle(cell)
    tests = -(-count // 10)
    trains = count - tests
    validations = min(-(-trains // 20), max(trains - 1, 0))
    return Split(
        train=table[:, tests : count - validations].ravel(),
        validation=table[:, count - validations :].ravel(),
        test=table[:, :tests].ravel(),
        official_train=table[:, tests:].ravel(),
    )
