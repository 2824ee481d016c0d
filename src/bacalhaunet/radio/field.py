"""The ``field`` profile: the 24 classes as a receiver meets them, and optionally receiver noise alone.

A block is transmitted, goes through multipath, is scaled to unit power, turned by the receiver's oscillator, gets white
noise by the in-band SNR (``field_receiver.noise_power``), passes tuner, converter and filter, is cut to a frame and
scaled to unit power. The SNR label therefore holds for the frame as received, after fading.

Frames are made in tiles of 24, shared between torch's threads; no array that is computed on in a tile reaches the size
at which torch would split it between threads of its own. On a GPU a tile is a few thousand frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.field_analog import AnalogTransmitter
from bacalhaunet.radio.field_config import FieldConfig, check_field_config
from bacalhaunet.radio.field_digital import DigitalTransmitter
from bacalhaunet.radio.field_draws import BLOCK_LENGTH, MARGIN, Draws, FieldSignal
from bacalhaunet.radio.field_receiver import Fading, Receiver, noise_power
from bacalhaunet.radio.modulations import FRAME_LENGTH, NAMES
from bacalhaunet.radio.random_streams import FrameStreams

NOISE_NAME = "noise"
"""Name of the class of frames without a signal; its label is 24."""

_TILE_CPU, _TILE_GPU = 24, 8192


class _Kind(IntEnum):
    """Groups of classes made by one piece of code."""

    LINEAR = 0
    GMSK = 1
    AM = 2
    SSB = 3
    FM = 4
    NOISE = 5


_KIND_OF_NAME = {
    "GMSK": _Kind.GMSK,
    "AM-DSB-WC": _Kind.AM,
    "AM-DSB-SC": _Kind.AM,
    "AM-SSB-WC": _Kind.SSB,
    "AM-SSB-SC": _Kind.SSB,
    "FM": _Kind.FM,
    NOISE_NAME: _Kind.NOISE,
}


@dataclass
class FieldFrames:
    """Frames with what is known of them, for tests and for judging a front end.

    Attributes:
        frames: What ``Field.frames`` returns, float32 (B, 2, 1024).
        received: The signal in them at unit power before oscillator, noise and receiver, complex64 (B, 1024).
        truth: Parameters by name, each (B,): always ``bandwidth`` (cycles a sample, of the in-band SNR), ``occupied``,
            ``centre``, ``sample_rate_hz``, ``samples_per_symbol``, ``rolloff``, ``carrier_offset`` (cycles a sample),
            ``fading`` (0 one path, 1 Rician, 2 Rayleigh), ``matched``, ``channel_filter``; and those of the class.
    """

    frames: Tensor
    received: Tensor
    truth: dict[str, Tensor]


class Field:
    """A frame source of signals on the air.

    A frame is a function of (seed, modulation, SNR, index) alone: batch, order, threads and workers do not matter, to
    the last bit on one kind of CPU. GPU and CPU frames agree to float32 rounding but for converter steps.

    Args:
        config: The parameters.
        device: Where frames are made and stay.

    Raises:
        ConfigError: If a setting cannot be used.
    """

    def __init__(self, config: FieldConfig | None = None, device: str | torch.device = "cpu") -> None:
        self.config = config or FieldConfig()
        check_field_config(self.config)
        self.device = torch.device(device)
        self.modulations: tuple[str, ...] = (*NAMES, NOISE_NAME) if self.config.noise_class else NAMES
        self._kinds = torch.tensor([_KIND_OF_NAME.get(name, _Kind.LINEAR) for name in self.modulations])
        self._kinds = self._kinds.to(self.device)
        self._digital = DigitalTransmitter(self.config.digital, self.device)
        self._analog = AnalogTransmitter(self.config.analog, self.config.audio, self.device)
        self._fading = Fading(self.config.fading, self.device)
        self._receiver = Receiver(self.config.receiver, self.device)

    def frames(self, modulation: Tensor, snr_db: Tensor, index: Tensor, *, seed: int) -> Tensor:
        """Make one frame for each row of the arguments.

        Args:
            modulation: Labels 0 to 23, with the noise class to 24, int64 (B,).
            snr_db: In-band SNR in dB, (B,); any real value.
            index: Number of the frame within its cell of modulation and SNR, int64 (B,).
            seed: Names the data set.

        Returns:
            float32 (B, 2, 1024), I then Q, mean |x|^2 = 1 in each frame, on the source's device.

        Raises:
            ConfigError: If a label is unknown, or the three arguments differ in length.
        """
        modulation, snr_db, index = (value.to(self.device) for value in (modulation, snr_db, index))
        self._check(modulation, snr_db, index)
        draws = Draws(FrameStreams(seed, modulation, snr_db, index))
        out = torch.empty(len(modulation), 2, FRAME_LENGTH, device=self.device)
        tiles = list(self._tiles(modulation))

        def make(tile: tuple[_Kind, Tensor, int]) -> None:
            kind, rows, wanted = tile
            out[rows[:wanted]] = self._tile(kind, draws.pick(rows), modulation[rows], snr_db[rows]).frames[:wanted]

        threads = min(torch.get_num_threads(), len(tiles)) if self.device.type == "cpu" else 1
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(make, tiles))
        else:
            for tile in tiles:
                make(tile)
        return out

    def explained(self, name: str, snr_db: float, count: int, *, seed: int, first: int = 0) -> FieldFrames:
        """Frames ``first`` to ``first + count - 1`` of one cell with the signal in them and their parameters.

        The frames are those of ``frames`` for the same names.

        Args:
            name: One of ``modulations``.
            snr_db: In-band SNR in dB.
            count: Frames.
            seed: Names the data set.
            first: Index of the first frame.
        """
        if name not in self.modulations:
            raise ConfigError(f"no class is called {name!r}", allowed=", ".join(self.modulations))
        label = torch.full((count,), self.modulations.index(name), device=self.device)
        snrs = torch.full((count,), float(snr_db), device=self.device)
        index = torch.arange(first, first + count, device=self.device)
        draws = Draws(FrameStreams(seed, label, snrs, index))
        parts: list[tuple[FieldFrames, int]] = []
        for kind, rows, wanted in self._tiles(label):
            parts.append((self._tile(kind, draws.pick(rows), label[rows], snrs[rows]), wanted))
        keys = parts[0][0].truth
        return FieldFrames(
            torch.cat([part.frames[:wanted] for part, wanted in parts]),
            torch.cat([part.received[:wanted] for part, wanted in parts]),
            {key: torch.cat([part.truth[key][:wanted] for part, wanted in parts]) for key in keys},
        )

    @torch.no_grad()
    def _tile(self, kind: _Kind, draws: Draws, labels: Tensor, snr_db: Tensor) -> FieldFrames:
        signal = self._transmit(kind, labels, draws)
        response, fading = self._fading.response(signal.sample_rate_hz, draws)
        faded = torch.fft.ifft(torch.fft.fft(signal.samples) * response)
        power = (faded.real**2 + faded.imag**2).mean(1)
        faded = faded * power.clamp_(min=1e-30).rsqrt_()[:, None]
        turned = faded * self._receiver.rotation(signal, draws)
        level = noise_power(snr_db.to(torch.float32), signal.bandwidth)
        if kind is _Kind.NOISE:
            level = torch.ones_like(level)
        frames = self._receiver.receive(turned + self._receiver.noise(level, draws), signal, draws)
        truth = dict(signal.truth, bandwidth=signal.bandwidth, occupied=signal.occupied, centre=signal.centre)
        truth |= {"sample_rate_hz": signal.sample_rate_hz, "samples_per_symbol": signal.samples_per_symbol}
        truth |= {"rolloff": signal.rolloff, "fading": fading}
        return FieldFrames(frames, faded[:, MARGIN : MARGIN + FRAME_LENGTH], truth)

    def _transmit(self, kind: _Kind, labels: Tensor, draws: Draws) -> FieldSignal:
        match kind:
            case _Kind.LINEAR:
                return self._digital.linear(labels, draws)
            case _Kind.GMSK:
                return self._digital.gmsk(draws)
            case _Kind.AM:
                return self._analog.amplitude_modulated(labels, draws)
            case _Kind.SSB:
                return self._analog.single_sideband(labels, draws)
            case _Kind.FM:
                return self._analog.frequency_modulated(draws)
            case _Kind.NOISE:
                return self._silence(draws)

    def _silence(self, draws: Draws) -> FieldSignal:
        """No signal; the channel filter is as wide as one about a digital signal would be."""
        signal = self._digital.gmsk(draws)
        signal.samples = torch.zeros(len(signal.bandwidth), BLOCK_LENGTH, dtype=torch.complex64, device=self.device)
        return signal

    def _check(self, modulation: Tensor, snr_db: Tensor, index: Tensor) -> None:
        if not modulation.shape == snr_db.shape == index.shape or modulation.dim() != 1:
            shapes = [tuple(value.shape) for value in (modulation, snr_db, index)]
            raise ConfigError(f"modulation, snr_db and index have shapes {shapes}", allowed="one length (B,) for all")
        classes = len(self.modulations)
        if len(modulation) and not 0 <= int(modulation.min()) <= int(modulation.max()) < classes:
            raise ConfigError(
                f"labels run from {int(modulation.min())} to {int(modulation.max())}",
                allowed=f"0 to {classes - 1}",
                action=None if self.config.noise_class else "set noise_class to have label 24",
            )

    def _tiles(self, modulation: Tensor) -> Iterator[tuple[_Kind, Tensor, int]]:
        """Kind, row numbers and how many are wanted; CPU tiles are filled up by repeating the last row.

        Every CPU tile has the same shape, so that no kernel can choose another order of summation for a smaller one.
        """
        kinds = self._kinds[modulation]
        size = _TILE_CPU if self.device.type == "cpu" else _TILE_GPU
        for kind in _Kind:
            rows = torch.nonzero(kinds == int(kind)).view(-1)
            for part in torch.split(rows, size) if len(rows) else ():
                wanted = len(part)
                if wanted < size and self.device.type == "cpu":
                    part = torch.cat((part, part[-1:].expand(size - wanted)))
                yield kind, part, wanted
