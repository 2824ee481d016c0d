"""How close the twin is to the real data: networks, sample statistics and, where real frames are given, the pulse.

Networks that others trained on the real data are run over the twin, and their accuracy stands beside what is published
of them; so do the twin's sample statistics. Frames are made, judged and dropped batch by batch: memory does not grow
with their number. The published figures are in ``fidelity_published.json``.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.evaluation import class_predictor
from bacalhaunet.data.dataset import Batch
from bacalhaunet.data.evaluation import Evaluation, evaluate_together, wilson_interval
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES, SNRS_DB, by_name
from bacalhaunet_paper.fidelity_real import RealFrames, compare_real_frames

if TYPE_CHECKING:
    from bacalhaunet.radio.profiles import FrameSource


@dataclass(frozen=True)
class PublishedNetwork:
    """Accuracy of a network on the real data.

    Attributes:
        name: What it is.
        source: Where the figures come from.
        accuracy: Mean over all classes and SNR labels.
        accuracy_by_snr: By SNR label in dB, or empty.
        confusion: By SNR label in dB: 24 rows of shares, or empty.
    """

    name: str
    source: str
    accuracy: float
    accuracy_by_snr: dict[int, float]
    confusion: dict[int, list[list[float]]]


@cache
def figures() -> dict[str, Any]:
    """Return everything in the file."""
    text = files(__package__).joinpath("fidelity_published.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def published_network(file: str) -> PublishedNetwork | None:
    """Return the figures of the network in ``file``, recognised by the file's name, or None."""
    stem = Path(file).stem.lower()
    for entry in figures()["networks"].values():
        if any(part in stem for part in entry["match"]):
            return PublishedNetwork(
                entry["name"],
                entry["source"],
                entry["accuracy"],
                dict(zip(SNRS_DB, entry.get("accuracy_by_snr", []), strict=False)),
                {int(snr): rows for snr, rows in entry.get("confusion", {}).items()},
            )
    return None


OVERALL, PER_SNR = 0.005, 0.02
"""The twin is meant to agree within half a point overall and two points at each SNR label."""


@dataclass(frozen=True)
class NetworkFidelity:
    """One network.

    Attributes:
        file: Its file's name.
        evaluation: Over the twin.
        published: On the real data, or None where nothing is known.
    """

    file: str
    evaluation: Evaluation
    published: PublishedNetwork | None

    @property
    def difference(self) -> float | None:
        """Accuracy on the twin less the published one."""
        return None if self.published is None else self.evaluation.accuracy - self.published.accuracy

    def by_snr(self) -> list[tuple[int, float, tuple[float, float], float | None]]:
        """SNR label, accuracy on the twin, its 95 % interval and the published accuracy."""
        rows = []
        for snr, table in zip(self.evaluation.snrs_db, self.evaluation.counts, strict=True):
            correct, count = int(np.trace(table)), int(table.sum())
            known = self.published.accuracy_by_snr.get(snr) if self.published else None
            rows.append((snr, correct / count, wilson_interval(correct, count), known))
        return rows

    def confusion_rows(self) -> list[dict[str, Any]]:
        """Each published confusion row with the twin's and their total-variation distance, sum |p - q| / 2."""
        rows = []
        for snr, published in (self.published.confusion if self.published else {}).items():
            if snr not in self.evaluation.snrs_db:
                continue
            table = self.evaluation.confusion_at(snr)
            for label, name in enumerate(self.evaluation.names):
                real = np.asarray(published[label]) / max(sum(published[label]), 1e-9)
                twin = table[label] / max(1, table[label].sum())
                rows.append(
                    {
                        "snr_db": snr,
                        "modulation": name,
                        "real": real.round(4).tolist(),
                        "twin": twin.round(4).tolist(),
                        "distance": float(np.abs(real - twin).sum() / 2),
                    }
                )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "file": self.file,
            "network": self.published.name if self.published else Path(self.file).stem,
            "source": self.published.source if self.published else None,
            "accuracy": self.evaluation.accuracy,
            "interval": list(self.evaluation.interval),
            "published": self.published.accuracy if self.published else None,
            "difference": self.difference,
            "frames": self.evaluation.frames,
            "by_snr": [
                {"snr_db": snr, "accuracy": twin, "interval": list(interval), "published": known}
                for snr, twin, interval, known in self.by_snr()
            ],
            "confusion_rows": self.confusion_rows(),
        }


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

    def watched(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches, and count each."""
        for batch in batches:
            assert batch.snr_db is not None
            self.add(batch.frames, batch.labels, batch.snr_db)
            yield batch

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


BATCH = 960


@dataclass(frozen=True)
class Fidelity:
    """The report.

    Attributes:
        frames_per_cell: Frames of each modulation at each SNR label.
        seed: Names the frames.
        networks: The networks that were run.
        statistics: Published sample statistics beside the twin's.
        real_frames: What real frames and the twin's have in common, or None where none were given.
    """

    frames_per_cell: int
    seed: int
    networks: tuple[NetworkFidelity, ...]
    statistics: tuple[Comparison, ...]
    real_frames: RealFrames | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "frames_per_cell": self.frames_per_cell,
            "seed": self.seed,
            "frames": 24 * 26 * self.frames_per_cell,
            "networks": [network.to_dict() for network in self.networks],
            "statistics": [asdict(comparison) for comparison in self.statistics],
            "real_frames": self.real_frames.to_dict() if self.real_frames else None,
        }


def network_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The ONNX files and saved models in a folder, by name.

    Raises:
        ConfigError: If there is none.
    """
    found = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in (".onnx", ".safetensors"))
    if not found:
        raise ConfigError(
            "no network in the folder", where=str(folder), allowed="ONNX files (.onnx) or saved models (.safetensors)"
        )
    return found


def all_cells(source: FrameSource, frames_per_cell: int, seed: int) -> Iterator[Batch]:
    """Frames 0 to ``frames_per_cell - 1`` of every cell, SNR by SNR."""
    labels = np.repeat(np.arange(len(NAMES)), frames_per_cell)
    index = np.tile(np.arange(frames_per_cell), len(NAMES))
    for snr in SNRS_DB:
        for start in range(0, len(labels), BATCH):
            here = slice(start, start + BATCH)
            snrs = torch.full((len(labels[here]),), float(snr))
            modulation, number = torch.from_numpy(labels[here]), torch.from_numpy(index[here])
            frames = source.frames(modulation, snrs, number, seed=seed).cpu().numpy()
            yield Batch(frames, labels[here].astype(np.int64), snrs.numpy())


def measure_fidelity(
    source: FrameSource,
    networks: list[Path],
    *,
    frames_per_cell: int = 200,
    seed: int = 0,
    real_frames: str | os.PathLike[str] | None = None,
    progress: Callable[[int], None] = lambda frames: None,
) -> Fidelity:
    """Run everything.

    Args:
        source: The twin, or another source with the same classes.
        networks: Files of networks trained on the real data.
        frames_per_cell: Frames of each modulation at each SNR label.
        seed: Names the frames.
        real_frames: A folder with real frames as .npy, see ``fidelity_real``; None compares none.
        progress: Called with the number of frames after each batch.

    Raises:
        ConfigError: If ``frames_per_cell`` is not positive or the real frames cannot be used.
        ModelFileError: If a network cannot be opened.
    """
    if frames_per_cell < 1:
        raise ConfigError(f"{frames_per_cell} frames per cell", allowed="1 or more")
    real = compare_real_frames(source, real_frames, seed) if real_frames is not None else None
    engines = [open_engine(path) for path in networks]
    predictors = {str(path): class_predictor(engine, NAMES) for path, engine in zip(networks, engines, strict=True)}
    statistics = SampleStatistics()
    batches = statistics.watched(all_cells(source, frames_per_cell, seed))
    found_by = evaluate_together(predictors, batches, NAMES, progress)
    judged = tuple(NetworkFidelity(path.name, found_by[str(path)], published_network(path.name)) for path in networks)
    found = Fidelity(frames_per_cell, seed, judged, tuple(statistics.comparisons()))
    return replace(found, real_frames=real)
