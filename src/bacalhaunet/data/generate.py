"""Write a whole RadioML file of generated frames: parallel, in bounded memory, resumable, the same for any workers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bacalhaunet.data.radioml_writer import CellWriter, RadioMLWriter
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.profiles import FrameSource, make_source

Cells = list[tuple[int, int]]
"""(label, SNR in dB) of some cells."""

BLOCK = 1024
"""Frames made at a time: 8 MB."""


@dataclass(frozen=True)
class Generation:
    """What to put into a file.

    Attributes:
        frames_per_cell: Frames of each class at each of the 26 SNRs; frame number = index within the cell.
        seed: Names the frames.
        profile: ``twin`` or ``field``.
        settings: Fields of the profile's config that differ from the default.
    """

    frames_per_cell: int
    seed: int = 0
    profile: str = "twin"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def attributes(self) -> dict[str, str | int]:
        """What the file says of itself."""
        settings = json.dumps(self.settings, sort_keys=True, default=repr)
        return {"seed": self.seed, "profile": self.profile, "settings": settings}


def cell_frames(
    source: FrameSource, cells: Cells, count: int, seed: int
) -> Iterator[tuple[tuple[int, int], list[NDArray[np.float32]]]]:
    """Each cell with its frames 0 to ``count - 1``, in blocks of float32 (n, 2, 1024).

    Several small cells are made together: a source is at its best with full tiles.
    """
    together = max(1, BLOCK // count)
    for first in range(0, len(cells), together):
        batch = cells[first : first + together]
        yield from zip(batch, _blocks(source, batch, count, seed), strict=True)


def _blocks(source: FrameSource, cells: Cells, count: int, seed: int) -> list[list[NDArray[np.float32]]]:
    """Blocks of frames of each cell; more than one block only if there is one cell."""
    blocks: list[list[NDArray[np.float32]]] = [[] for _ in cells]
    for start in range(0, count, BLOCK):
        index = torch.arange(start, min(start + BLOCK, count))
        labels = torch.tensor([label for label, _ in cells]).repeat_interleave(len(index))
        snrs = torch.tensor([float(snr) for _, snr in cells]).repeat_interleave(len(index))
        frames = source.frames(labels, snrs, index.repeat(len(cells)), seed=seed).cpu().numpy()
        for number, own in enumerate(blocks):
            own.append(frames[number * len(index) : (number + 1) * len(index)])
    return blocks


def generate_file(
    path: str | os.PathLike[str],
    generation: Generation,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the file, going on where an interrupted run of the same ``generation`` stopped.

    Until it is complete the file lies beside ``path`` under a hidden name. Its bytes depend on ``generation`` alone.

    Args:
        path: The HDF5 file.
        generation: What to write.
        workers: Processes; None is one a core. Each takes about 400 MB.
        progress: Called with cells done and cells in all.

    Raises:
        ConfigError: If a setting cannot be used, the workers are not positive or the disk is full.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"{workers} workers", allowed="1 or more, or none given for one a core")
    if not -(2**63) <= generation.seed < 2**63:
        raise ConfigError(f"the seed is {generation.seed}", allowed="a signed 64-bit integer")
    classes = make_source(generation.profile, **generation.settings).classes
    writer = RadioMLWriter(path, generation.frames_per_cell, classes=classes, attributes=generation.attributes())
    missing, total = writer.missing_cells(), writer.layout.cell_count
    progress(total - len(missing), total)
    chunks = _chunks(missing, generation.frames_per_cell)
    count = min(workers or len(os.sched_getaffinity(0)), len(chunks)) if chunks else 0
    if count > 1:
        _in_processes(
            writer.cells, generation, chunks, count, lambda done: progress(total - len(missing) + done, total)
        )
    else:
        _prepare(writer.cells, generation, threads=None)
        for done, chunk in enumerate(chunks, 1):
            progress(total - len(missing) + _write(chunk) + (done - 1) * len(chunks[0]), total)
    return writer.finish()


def _chunks(cells: Cells, frames_per_cell: int) -> list[Cells]:
    """Cells dealt into parcels of about 8192 frames, enough to be worth sending to another process."""
    size = max(1, 8192 // frames_per_cell)
    return [cells[start : start + size] for start in range(0, len(cells), size)]


def _in_processes(
    cells: CellWriter, generation: Generation, chunks: list[Cells], count: int, progress: Callable[[int], None]
) -> None:
    context = get_context("spawn")
    with ProcessPoolExecutor(count, context, initializer=_prepare, initargs=(cells, generation, 1)) as pool:
        pending = {pool.submit(_write, chunk) for chunk in chunks}
        done = 0
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in finished)
                progress(done)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_job: tuple[CellWriter, Generation, FrameSource] | None = None


def _prepare(cells: CellWriter, generation: Generation, threads: int | None) -> None:
    """Set up this process: one writer, one source, its number of threads."""
    global _job
    if threads is not None:
        torch.set_num_threads(threads)
    _job = cells, generation, make_source(generation.profile, **generation.settings)


def _write(chunk: Cells) -> int:
    """Make and write some cells; returns how many."""
    assert _job is not None
    cells, generation, source = _job
    for (label, snr), blocks in cell_frames(source, chunk, generation.frames_per_cell, generation.seed):
        cells.write_cell(label, snr, blocks)
    return len(chunk)
