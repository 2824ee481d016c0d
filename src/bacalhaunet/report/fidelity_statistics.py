"""Sample statistics of the twin beside those published of the real data, collected while frames stream by."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.radio.modulations import by_name
from bacalhaunet.report.fidelity_published import figures

POINTS, RELATIVE = 0.015, 0.05
"""A statistic agrees within 1.5 points of a share, or 5 %."""


@dataclass(frozen=True)
class Comparison:
    """One figure of the real data beside the twin's.

    Attributes:
        what: The statistic in words.
        modulation: Class name.
        snr_db: SNR label.
        real: The published value.
        twin: The twin's.
        agrees: Whether they differ by at most 1.5 points (shares) or 5 %.
    """

    what: str
    modulation: str
    snr_db: int
    real: float
    twin: float
    agrees: bool


def _compare(what: str, modulation: str, snr_db: int, real: float, twin: float, *, share: bool) -> Comparison:
    agrees = abs(twin - real) <= RELATIVE * abs(real) or (share and abs(twin - real) <= POINTS)
    return Comparison(what, modulation, snr_db, real, twin, bool(agrees))


class SampleStatistics:
    """Clip shares, standard deviations and frame powers of the cells that have published figures."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, int], NDArray[np.float64]] = defaultdict(lambda: np.zeros(4))
        self._powers: dict[tuple[int, int, int], list[NDArray[np.float64]]] = defaultdict(list)
        published = figures()
        self._shares = {
            (by_name(name).label, snr): value
            for name, values in published["outside_2"].items()
            if name not in ("source", "snrs_db")
            for snr, value in zip(published["outside_2"]["snrs_db"], values, strict=True)
        }
        self._stds = {(by_name(row["modulation"]).label, row["snr_db"]): row["value"] for row in published["std"]}
        self._spreads = published["power_spread"]

    def add(self, frames: NDArray[np.float32], labels: NDArray[np.int64], snrs_db: NDArray[np.float32]) -> None:
        """Count a batch: frames (n, 2, 1024), labels (n,), SNR labels (n,)."""
        for cell in self._shares.keys() | self._stds.keys():
            chosen = frames[(labels == cell[0]) & (snrs_db == cell[1])].astype(np.float64)
            if chosen.size:
                outside = (np.abs(chosen) > 2).sum()
                self._sums[cell] += (chosen.size, chosen.sum(), (chosen**2).sum(), outside)
        for row in self._spreads:
            label, snr, count = by_name(row["modulation"]).label, row["snr_db"], row["samples"]
            chosen = frames[(labels == label) & (snrs_db == snr)][:, :, :count].astype(np.float64)
            self._powers[label, snr, count].append((chosen**2).sum(1).mean(1))

    def comparisons(self) -> list[Comparison]:
        """Every published figure beside the twin's."""
        found = []
        for (label, snr), real in self._shares.items():
            size, _, _, outside = self._sums[label, snr]
            found.append(_compare("share outside [-2, 2]", _name(label), snr, real, outside / size, share=True))
        for (label, snr), real in self._stds.items():
            size, total, squares, _ = self._sums[label, snr]
            std = float(np.sqrt(squares / size - (total / size) ** 2))
            found.append(_compare("std of a component", _name(label), snr, real, std, share=False))
        for row in self._spreads:
            label, count = by_name(row["modulation"]).label, row["samples"]
            powers = np.concatenate(self._powers[label, row["snr_db"], count])
            what = f"power of {count} samples, std over frames"
            found.append(_compare(what, row["modulation"], row["snr_db"], row["std"], float(powers.std()), share=True))
        return found


def _name(label: int) -> str:
    from bacalhaunet.radio.modulations import NAMES

    return NAMES[label]
