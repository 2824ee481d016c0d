"""The twin of RadioML 2018.01A: frames as the real data set has them, made on demand.

Frames are made in tiles of 64 that stay in a core's cache; tiles are shared between torch's threads. On a GPU a tile
is a few thousand frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.channel import receive
from bacalhaunet.radio.modulations import FRAME_LENGTH, NAMES
from bacalhaunet.radio.random_streams import FrameStreams
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


_Tile = tuple[Waveform, Tensor, int]


class Twin:
    """A frame source with the statistics of RadioML 2018.01A.

    A frame is a function of (seed, modulation, SNR, index) alone: batch, order, threads and workers do not matter, to
    the last bit on one kind of CPU. Between devices random integers agree exactly, frames to float32 rounding.

    Args:
        config: The parameters; the default is the best known.
        device: Where frames are made and stay.
    """

    modulations: tuple[str, ...] = NAMES

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
        _check(modulation, snr_db, index)
        streams = FrameStreams(seed, modulation, snr_db, index).prepare(*STREAMS)
        out = torch.empty(len(modulation), 2, FRAME_LENGTH, device=self.device)
        tiles = list(_tiles(modulation, _TILE_CPU if self.device.type == "cpu" else _TILE_GPU))

        def make(tile: _Tile) -> None:
            waveform, rows, wanted = tile
            made = self._tile(waveform, streams.pick(rows), modulation[rows], snr_db[rows])
            out[rows[:wanted]] = made[:wanted]

        if self.device.type == "cpu":
            _on_threads(make, tiles)
        else:
            for tile in tiles:
                make(tile)
        return out

    @torch.no_grad()
    def _tile(self, waveform: Waveform, streams: FrameStreams, modulation: Tensor, snr_db: Tensor) -> Tensor:
        block = waveform(self.config, streams, modulation)
        phase = streams.uniform(STREAM_PHASE, 1).mul_(2 * math.pi)
        step = streams.normal(STREAM_OFFSET, 1).mul_(self.config.frequency_offset_std)
        return receive(block, snr_db, phase, step, FRAME_LENGTH, streams, STREAM_NOISE, STREAM_UNSEEN)


def _on_threads(make: Callable[[_Tile], None], tiles: Sequence[_Tile]) -> None:
    """Make the tiles on as many threads as torch may use, each of them with single-threaded kernels.

    Kernels that split a tile between threads would be slower and could change the last bits.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        for tile in tiles:
            make(tile)
        return
    workers = min(threads, max(1, len(tiles)))
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(make, tiles))
    finally:
        torch.set_num_threads(threads)  # the number is kept per thread, but the default of new threads is shared


def _check(modulation: Tensor, snr_db: Tensor, index: Tensor) -> None:
    if not modulation.shape == snr_db.shape == index.shape or modulation.dim() != 1:
        shapes = [tuple(value.shape) for value in (modulation, snr_db, index)]
        raise ConfigError(f"modulation, snr_db and index have shapes {shapes}", allowed="one length (B,) for all three")
    if len(modulation) and not 0 <= int(modulation.min()) <= int(modulation.max()) < len(NAMES):
        raise ConfigError(
            f"labels run from {int(modulation.min())} to {int(modulation.max())}", allowed=f"0 to {len(NAMES) - 1}"
        )


def _tiles(modulation: Tensor, size: int) -> Iterator[_Tile]:
    """Waveform, ``size`` row numbers (the last repeated to fill the tile) and how many of them are wanted.

    Every CPU tile has the same shape, so that no kernel can choose another order of summation for a smaller one.
    """
    group = torch.tensor(_GROUP_OF_LABEL, device=modulation.device)[modulation]
    for number, waveform in enumerate(_GROUPS):
        rows = torch.nonzero(group == number).view(-1)
        for part in torch.split(rows, size):
            wanted = len(part)
            if not wanted:
                continue
            if wanted < size and modulation.device.type == "cpu":
                part = torch.cat((part, part[-1:].expand(size - wanted)))
            yield waveform, part, wanted
