"""Logits to calibrate with: of labelled frames, and of signals of many frames, recorded or made by the twin."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration_fit import Signals
from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.evaluation import class_map
from bacalhaunet.data.dataset import Batch, Frames
from bacalhaunet.data.recordings.frames import FrameCutter, Framing
from bacalhaunet.data.recordings.recording import recording_of
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES

if TYPE_CHECKING:
    from bacalhaunet.radio.twin_config import TwinConfig

SIGNAL_FRAMES = 32
"""Frames of a signal."""

FEWEST_SIGNALS = 10
"""Signals that a correlation is fitted to at least."""

_CELL = 4
"""Signals made at a time."""


def frame_logits(
    engine: Engine,
    batches: Iterable[Batch],
    names: Sequence[str],
    progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return logits float32 (n, classes) of labelled frames and the logit of each frame's true class, int64 (n,).

    Frames of a class that the network does not have are left out.

    Raises:
        ModelFileError: If the network has a class that the data do not have.
        ConfigError: If no frame is left.
    """
    of_label = np.full(len(names), -1, np.int64)
    of_label[class_map(engine, names)] = np.arange(len(engine.labels))
    logits, wanted = [], []
    for frames, labels, _ in batches:
        known = of_label[labels] >= 0
        logits.append(engine.logits(frames[known]))
        wanted.append(of_label[labels[known]])
        if progress is not None:
            progress(len(labels))
    if not sum(map(len, wanted)):
        raise ConfigError("there is no frame to calibrate with", allowed="frames of the network's classes")
    return np.concatenate(logits), np.concatenate(wanted)


def recorded_signals(logits: NDArray[np.float32], labels: NDArray[np.int64], frames: Frames) -> Signals | None:
    """Return logits of frames as those of signals: as many frames each, up to 32, as leave ten signals or more.

    Args:
        logits: Of all the frames, (n, classes).
        labels: The logit of each frame's true class, (n,).
        frames: The frames. Those that were cut one after the other from one recording are of one signal.

    Returns:
        The signals; None if there are fewer than ten of two frames.
    """
    if frames.signals is None or len(frames) != len(labels):
        return None
    breaks = np.flatnonzero((np.diff(frames.signals) != 0) | (np.diff(frames.rows) != 1)) + 1
    runs = np.split(np.arange(len(frames)), breaks)
    for count in (32, 16, 8, 4, 2):
        chosen = [run[start : start + count] for run in runs for start in range(0, len(run) - count + 1, count)]
        if len(chosen) >= FEWEST_SIGNALS:
            numbers = np.array(chosen)
            return Signals(logits[numbers], labels[numbers[:, 0]])
    return None


def signal_logits(
    engine: Engine,
    snrs_db: Sequence[float],
    signals: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Signals:
    """Return logits of the twin's signals of 32 frames: one carrier offset, timing and depth in all frames of each.

    Frames are cut and scaled as ``classify`` does. Classes of the network that the twin does not have are left out.

    Args:
        engine: The network.
        snrs_db: SNR labels in dB.
        signals: Signals of each class at each of them.
        seed: Of the signals.
        progress: Gets the number of frames of each part that is done.

    Raises:
        ConfigError: If the network has none of the twin's classes.
    """
    from bacalhaunet.radio.twin_config import TwinConfig

    config = dataclasses.replace(TwinConfig(), block_length=SIGNAL_FRAMES * engine.frame_length)
    known = [name for name in engine.labels if name in NAMES]
    if not known:
        raise ConfigError(f"the network has the classes {', '.join(engine.labels)}", allowed="some of the twin's")
    logits, labels = [], []
    for name in known:
        for snr in snrs_db:
            for first in range(0, signals, _CELL):
                numbers = range(first, min(first + _CELL, signals))
                frames = np.concatenate([_frames(one) for one in _made(config, name, snr, numbers, seed)])
                logits.append(engine.logits(frames).reshape(len(numbers), SIGNAL_FRAMES, -1))
                labels += [engine.labels.index(name)] * len(numbers)
                if progress is not None:
                    progress(len(frames))
    return Signals(np.concatenate(logits), np.array(labels, np.int64))


def _frames(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    samples = (signal[0] + np.complex64(1j) * signal[1]).astype(np.complex64)
    cutter = FrameCutter(recording_of(samples), Framing(len(samples) // SIGNAL_FRAMES, None, "block"))
    return cutter.batch(0, len(cutter)).frames


def _made(config: TwinConfig, name: str, snr_db: float, numbers: range, seed: int) -> NDArray[np.float32]:
    """Return signals of one cell, float32 (n, 2, block length): the twin's blocks, which hold one frame there."""
    import torch

    from bacalhaunet.radio.channel import receive
    from bacalhaunet.radio.random_streams import FrameStreams
    from bacalhaunet.radio.waveforms import (
        STREAM_NOISE,
        STREAM_OFFSET,
        STREAM_PHASE,
        STREAM_UNSEEN,
        STREAMS,
        WAVEFORMS,
    )

    label = torch.full((len(numbers),), NAMES.index(name))
    snrs = torch.full((len(numbers),), float(snr_db))
    streams = FrameStreams(seed, label, snrs, torch.tensor(list(numbers))).prepare(*STREAMS)
    with torch.no_grad():
        block = WAVEFORMS[NAMES.index(name)](config, streams, label)
        phase = streams.uniform(STREAM_PHASE, 1).mul_(2 * math.pi)
        step = streams.normal(STREAM_OFFSET, 1).mul_(config.frequency_offset_std)
        made = receive(block, snrs, phase, step, config.block_length, streams, STREAM_NOISE, STREAM_UNSEEN)
    return np.asarray(made.numpy())
