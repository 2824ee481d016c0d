"""The twin of RadioML 2018.01A: frames as the real data set has them, made on demand.

Frames are made in tiles of 64 that stay in a core's cache; tiles are shared between torch's threads. On a GPU a tile
is a few thousand frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from bacalhaunet.radio.channel import receive
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import FRAME_LENGTH, RADIOML
from bacalhaunet.radio.random_streams import FrameStreams
from bacalhaunet.radio.tiles import check_batch, tiles
from bacalhaunet.radio.twin_config import TwinConfig
from bacalhaunet.radio.waveforms import (
    STREAM_NOISE,
    STREAM_OFFSET,
    STREAM_PHASE,
    STREAM_UNSEEN,
    STREAMS,
    WAVEFORMS,
    Waveform,
)

_TILE_CPU, _TILE_GPU = 64, 8192
_GROUPS: tuple[Waveform, ...] = tuple(dict.fromkeys(WAVEFORMS))
_GROUP_OF_LABEL = tuple(_GROUPS.index(waveform) for waveform in WAVEFORMS)
_Part = tuple[int, Tensor, int]


class Twin:
    """A frame source with the statistics of RadioML 2018.01A.

    A frame is a function of (seed, modulation, SNR, index) alone: batch, order, threads and workers do not matter, to
    the last bit on one kind of CPU. Between devices random integers agree exactly, frames to float32 rounding.

    Args:
        config: The parameters; the default is the best known.
        device: Where frames are made and stay.
    """

    classes: ClassSet = RADIOML

    def __init__(self, config: TwinConfig | None = None, device: str | torch.device = "cpu") -> None:
        self.config = config or TwinConfig()
        self.device = torch.device(device)

    @torch.no_grad()
    def frames(self, modulation: Tensor, snr_db: Tensor, index: Tensor, *, seed: int) -> Tensor:
        """Make one frame for each row of the arguments.

        Args:
            modulation: Labels 0 to 23, int64 (B,).
            snr_db: SNR labels in dB, (B,); any real value, ``radio.channel`` says what it means.
            index: Number of the frame within its cell of modulation and SNR, int64 (B,); also beyond 4095.
            seed: Names the data set.

        Returns:
            float32 (B, 2, 1024), I then Q, on the twin's device.

        Raises:
            ConfigError: If a label is none of the 24, or the three arguments differ in length.
        """
        modulation, snr_db, index = (value.to(self.device) for value in (modulation, snr_db, index))
        check_batch(modulation, snr_db, index, len(self.classes))
        streams = FrameStreams(seed, modulation, snr_db, index).prepare(*STREAMS)
        out = torch.empty(len(modulation), 2, FRAME_LENGTH, device=self.device)
        kinds = torch.tensor(_GROUP_OF_LABEL, device=self.device)[modulation]
        parts = list(tiles(kinds, _TILE_CPU if self.device.type == "cpu" else _TILE_GPU))

        def make(part: _Part) -> None:
            kind, rows, count = part
            made = self._tile(_GROUPS[kind], streams.pick(rows), modulation[rows], snr_db[rows])
            out[rows[:count]] = made[:count]

        if self.device.type == "cpu":
            _on_threads(make, parts)
        else:
            for part in parts:
                make(part)
        return out

    @torch.no_grad()
    def _tile(self, waveform: Waveform, streams: FrameStreams, modulation: Tensor, snr_db: Tensor) -> Tensor:
        block = waveform(self.config, streams, modulation)
        phase = streams.uniform(STREAM_PHASE, 1).mul_(2 * math.pi)
        step = streams.normal(STREAM_OFFSET, 1).mul_(self.config.frequency_offset_std)
        return receive(block, snr_db, phase, step, FRAME_LENGTH, streams, STREAM_NOISE, STREAM_UNSEEN)


def _on_threads(make: Callable[[_Part], None], parts: Sequence[_Part]) -> None:
    """Make the tiles on as many threads as torch may use, each of them with single-threaded kernels.

    Kernels that split a tile between threads would be slower and could change the last bits.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        for part in parts:
            make(part)
        return
    workers = min(threads, max(1, len(parts)))
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(make, parts))
    finally:
        torch.set_num_threads(threads)  # the number is kept per thread, but the default of new threads is shared
