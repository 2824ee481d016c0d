"""The ``field`` profile as a frame source: signals as a receiver meets them.

A block is transmitted, goes through multipath, is scaled to unit power, turned by the receiver's oscillator, gets white
noise by the in-band SNR (``receiver.noise_power``), passes tuner, converter and filter, is cut to a frame and scaled to
unit power. The SNR label therefore holds for the frame as received, after fading.

Frames are made in tiles of 24, shared between torch's threads; no array that is computed on in a tile reaches the size
at which torch would split it between threads of its own. On a GPU a tile is a few thousand frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.field.config import FieldConfig, check_field_config
from bacalhaunet.radio.field.draws import Draws
from bacalhaunet.radio.field.noise import NOISE_NAME
from bacalhaunet.radio.field.receiver import Fading, Receiver, noise_power
from bacalhaunet.radio.field.registry import field_classes, stream_number, transmitters
from bacalhaunet.radio.field.transmitter import MARGIN, Transmitter
from bacalhaunet.radio.modulations import FRAME_LENGTH
from bacalhaunet.radio.random_streams import FrameStreams
from bacalhaunet.radio.tiles import check_batch, tiles

_TILE_CPU, _TILE_GPU = 24, 8192


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

    A frame is a function of (seed, modulation, SNR, index) alone: batch, order, threads, workers and the other classes
    do not matter, to the last bit on one kind of CPU. GPU and CPU frames agree to float32 rounding but for converter
    steps.

    Args:
        config: The parameters.
        device: Where frames are made and stay.
        classes: The classes by label, in place of those of the config.

    Raises:
        ConfigError: If a setting cannot be used or there is no transmitter of a class.

    >>> source = Field(classes=["QPSK", "GMSK", "noise"])
    >>> labels = torch.tensor([0, 1, 2])
    >>> source.frames(labels, torch.full((3,), 10.0), labels, seed=1).shape
    torch.Size([3, 2, 1024])
    """

    def __init__(
        self,
        config: FieldConfig | None = None,
        device: str | torch.device = "cpu",
        classes: ClassSet | Sequence[str] | None = None,
    ) -> None:
        self.config = config or FieldConfig()
        check_field_config(self.config)
        self.device = torch.device(device)
        names = classes.names if isinstance(classes, ClassSet) else tuple(classes or self.config.classes)
        if self.config.noise_class and NOISE_NAME not in names:
            names = (*names, NOISE_NAME)
        offered = field_classes(names)
        self.classes = classes if isinstance(classes, ClassSet) and classes.names == names else offered
        self._numbers = torch.tensor([stream_number(name) for name in names], device=self.device)
        kinds = [transmitters()[name] for name in names]
        different = list(dict.fromkeys(kinds))
        self._transmitters = [kind(self.config, self.device) for kind in different]
        # Of each label the place of its transmitter, and its place among the modulations of that.
        self._kinds = torch.tensor([different.index(kind) for kind in kinds], device=self.device)
        places = [list(kind.modulations).index(name) for kind, name in zip(kinds, names, strict=True)]
        self._places = torch.tensor(places, device=self.device)
        self._tile_size = _TILE_CPU if self.device.type == "cpu" else _TILE_GPU
        self._fading = Fading(self.config.fading, self.device)
        self._receiver = Receiver(self.config.receiver, self.device)

    def frames(self, modulation: Tensor, snr_db: Tensor, index: Tensor, *, seed: int) -> Tensor:
        """Make one frame for each row of the arguments.

        Args:
            modulation: Labels, int64 (B,).
            snr_db: In-band SNR in dB, (B,); any real value.
            index: Number of the frame within its cell of modulation and SNR, int64 (B,).
            seed: Names the data set.

        Returns:
            float32 (B, 2, 1024), I then Q, mean |x|^2 = 1 in each frame, on the source's device.

        Raises:
            ConfigError: If a label is unknown, or the three arguments differ in length.
        """
        modulation, snr_db, index = (value.to(self.device) for value in (modulation, snr_db, index))
        classes = len(self.classes)
        action = None if NOISE_NAME in self.classes.names else f"set noise_class to have label {classes}"
        check_batch(modulation, snr_db, index, classes, action)
        draws = Draws(FrameStreams(seed, self._numbers[modulation], snr_db, index))
        out = torch.empty(len(modulation), 2, FRAME_LENGTH, device=self.device)
        parts = list(tiles(self._kinds[modulation], self._tile_size))

        def make(part: tuple[int, Tensor, int]) -> None:
            kind, rows, count = part
            which = self._places[modulation[rows]]
            made = self._tile(self._transmitters[kind], draws.pick(rows), which, snr_db[rows])
            out[rows[:count]] = made.frames[:count]

        threads = min(torch.get_num_threads(), len(parts)) if self.device.type == "cpu" else 1
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(make, parts))
        else:
            for part in parts:
                make(part)
        return out

    def explained(self, name: str, snr_db: float, count: int, *, seed: int, first: int = 0) -> FieldFrames:
        """Frames ``first`` to ``first + count - 1`` of one cell with the signal in them and their parameters.

        The frames are those of ``frames`` for the same names.

        Args:
            name: One of the classes.
            snr_db: In-band SNR in dB.
            count: Frames.
            seed: Names the data set.
            first: Index of the first frame.
        """
        label = torch.full((count,), self.classes.index(name), device=self.device)
        snrs = torch.full((count,), float(snr_db), device=self.device)
        index = torch.arange(first, first + count, device=self.device)
        draws = Draws(FrameStreams(seed, self._numbers[label], snrs, index))
        made = [
            (self._tile(self._transmitters[kind], draws.pick(rows), self._places[label[rows]], snrs[rows]), many)
            for kind, rows, many in tiles(self._kinds[label], self._tile_size)
        ]
        return FieldFrames(
            torch.cat([part.frames[:many] for part, many in made]),
            torch.cat([part.received[:many] for part, many in made]),
            {key: torch.cat([part.truth[key][:many] for part, many in made]) for key in made[0][0].truth},
        )

    @torch.no_grad()
    def _tile(self, transmitter: Transmitter, draws: Draws, which: Tensor, snr_db: Tensor) -> FieldFrames:
        signal = transmitter.transmit(which, draws)
        response, fading = self._fading.response(signal.sample_rate_hz, draws)
        faded = torch.fft.ifft(torch.fft.fft(signal.samples) * response)
        power = (faded.real**2 + faded.imag**2).mean(1)
        faded = faded * power.clamp_(min=1e-30).rsqrt_()[:, None]
        turned = faded * self._receiver.rotation(signal, draws)
        level = noise_power(snr_db.to(torch.float32), signal.bandwidth)
        if signal.silent:
            level = torch.ones_like(level)
        frames = self._receiver.receive(turned + self._receiver.noise(level, draws), signal, draws)
        truth = dict(signal.truth, bandwidth=signal.bandwidth, occupied=signal.occupied, centre=signal.centre)
        truth |= {"sample_rate_hz": signal.sample_rate_hz, "samples_per_symbol": signal.samples_per_symbol}
        truth |= {"rolloff": signal.rolloff, "fading": fading}
        return FieldFrames(frames, faded[:, MARGIN : MARGIN + FRAME_LENGTH], truth)
