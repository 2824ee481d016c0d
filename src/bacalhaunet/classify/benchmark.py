"""Engines side by side: the same frames, one core, taken by turns in one run, agreement beside every speed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bacalhaunet.classify.engines import Engine

BATCHES = (8, 16, 64, 256)


@dataclass(frozen=True)
class EngineSpeed:
    """One engine's figures.

    Attributes:
        engine: Its name.
        latency_us: Median time of one frame, called from Python.
        latency_p99_us: 99th percentile of it.
        frames_per_second: Of the batch that is fastest in the median.
        samples_per_second: Complex samples.
        batch: That batch.
        agreement: Share of frames with the class the reference engine gives.
    """

    engine: str
    latency_us: float
    latency_p99_us: float
    frames_per_second: float
    samples_per_second: float
    batch: int
    agreement: float


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one of its cores, where the system allows it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def benchmark(engines: Sequence[Engine], *, seconds: float = 6.0, seed: int = 2018) -> list[EngineSpeed]:
    """Time engines by turns on the same frames.

    Args:
        engines: Opened with one thread, the reference for the agreement last.
        seconds: Time to spend in all.
        seed: Of the frames, noise of unit power.
    """
    length = engines[0].frame_length
    frames = np.random.default_rng(seed).standard_normal((max(BATCHES), 2, length)).astype(np.float32)
    classes = [engine.logits(frames).argmax(axis=1) for engine in engines]
    times: list[dict[int, list[float]]] = [{batch: [] for batch in (1, *BATCHES)} for _ in engines]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not times[-1][BATCHES[-1]]:
        for engine, taken in zip(engines, times, strict=True):
            for batch in taken:
                _time(engine, frames[:batch].copy(), taken[batch], share=0.02 if batch == 1 else 0.01)
    return [
        _speed(engine, taken, float((mine == classes[-1]).mean()), length)
        for engine, taken, mine in zip(engines, times, classes, strict=True)
    ]


def _time(engine: Engine, frames: NDArray[np.float32], taken: list[float], share: float) -> None:
    """Run one batch again and again for ``share`` seconds, at least twice; the first, with cold caches, is left out."""
    engine.logits(frames)
    end = time.perf_counter() + share
    while True:
        start = time.perf_counter()
        engine.logits(frames)
        now = time.perf_counter()
        taken.append(now - start)
        if now > end:
            return


def _speed(engine: Engine, taken: dict[int, list[float]], agreement: float, length: int) -> EngineSpeed:
    rates = {batch: batch / float(np.median(times)) for batch, times in taken.items()}
    best = max(rates, key=lambda batch: rates[batch])
    return EngineSpeed(
        engine=engine.name,
        latency_us=float(np.median(taken[1])) * 1e6,
        latency_p99_us=float(np.percentile(taken[1], 99)) * 1e6,
        frames_per_second=rates[best],
        samples_per_second=rates[best] * length,
        batch=best,
        agreement=agreement,
    )
