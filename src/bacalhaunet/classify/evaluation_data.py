"""Labelled batches out of a RadioML file: the part of the split, the SNRs and the classes that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.data.dataset import Part
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bacalhaunet.data.radioml import Frames, RadioMLFile

BATCH = 2048
"""Frames read and classified at a time: 16 MB, many times what one core takes at once."""


@dataclass(frozen=True)
class Selection:
    """Which frames of a file to evaluate.

    Attributes:
        part: Part of the prescribed split, or ``"all"``.
        snr_min: Smallest SNR label in dB; None for no bound.
        snr_max: Largest SNR label in dB; None for no bound.
        modulations: Names of the classes; None for all.
    """

    part: Part = "test"
    snr_min: float | None = None
    snr_max: float | None = None
    modulations: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check the names of the classes."""
        unknown = [name for name in self.modulations or () if name not in NAMES]
        if unknown:
            raise ConfigError(f"no modulation is called {', '.join(unknown)}", allowed=", ".join(NAMES))

    def indices(self, file: RadioMLFile) -> NDArray[np.int64]:
        """Return the frame numbers in the order of the file, int64.

        Raises:
            ConfigError: If no frame fits, or the part does not exist.
        """
        chosen = np.sort(radioml_split(file.layout).part(self.part))
        labels = None if self.modulations is None else [NAMES.index(name) for name in self.modulations]
        kept = file.layout.select(chosen, snr_min_db=self.snr_min, snr_max_db=self.snr_max, labels=labels)
        if not len(kept):
            raise ConfigError(
                f"no frame is left: part {self.part!r}, SNR {self.snr_min} to {self.snr_max} dB",
                where=str(file.path),
                allowed=f"SNR labels {min(file.snrs_db)} to {max(file.snrs_db)} dB, {len(file)} frames in all",
            )
        return kept


def batches(file: RadioMLFile, indices: Sequence[int] | NDArray[np.int64], size: int = BATCH) -> Iterator[Frames]:
    """Yield the frames of a file with the given numbers, ``size`` at a time."""
    numbers = np.asarray(indices, np.int64)
    for start in range(0, len(numbers), size):
        yield file.read(numbers[start : start + size])
