"""How close the twin is to the real data: networks, sample statistics and, where real frames are given, the pulse.

Frames are made, judged and dropped batch by batch: memory does not grow with their number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.evaluation import Batch, Tally, class_map, predict
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES, SNRS_DB
from bacalhaunet.report.fidelity_networks import NetworkFidelity
from bacalhaunet.report.fidelity_published import published_network
from bacalhaunet.report.fidelity_real import RealFrames, compare_real_frames
from bacalhaunet.report.fidelity_statistics import Comparison, SampleStatistics

if TYPE_CHECKING:
    from bacalhaunet.radio.profiles import FrameSource

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
            yield frames, labels[here].astype(np.int64), snrs.numpy()


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
    maps = [class_map(engine) for engine in engines]
    tallies, statistics = [Tally() for _ in engines], SampleStatistics()
    for frames, labels, snrs in all_cells(source, frames_per_cell, seed):
        statistics.add(frames, labels, snrs)
        for engine, to_label, tally in zip(engines, maps, tallies, strict=True):
            tally.add(labels, to_label[predict(engine, frames)], snrs)
        progress(len(labels))
    judged = tuple(
        NetworkFidelity(path.name, tally.result(), published_network(path.name))
        for path, tally in zip(networks, tallies, strict=True)
    )
    found = Fidelity(frames_per_cell, seed, judged, tuple(statistics.comparisons()))
    return replace(found, real_frames=real)
