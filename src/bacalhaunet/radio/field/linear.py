"""Linear modulations of the field profile: symbols of a constellation behind a root-raised cosine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from bacalhaunet.radio.constellations import BUILDERS, Points, constellation
from bacalhaunet.radio.field.config import FieldConfig
from bacalhaunet.radio.field.draws import Draws, Stream, between
from bacalhaunet.radio.field.symbols import GRID, SYMBOLS, SymbolClock
from bacalhaunet.radio.field.transmitter import FieldSignal
from bacalhaunet.radio.modulations import RADIOML


def root_raised_cosine(frequency: Tensor, rolloff: Tensor) -> Tensor:
    r"""Response of a root-raised cosine of unit passband.

    .. math:: H(f) = \cos\left(\frac{\pi}{2 b} \left(|f| - \frac{1 - b}{2}\right)\right)

    between (1 - b) / 2 and (1 + b) / 2; 1 below, 0 above.

    Args:
        frequency: In symbol rates, broadcastable with ``rolloff``.
        rolloff: Excess bandwidth b, 0 < b <= 1.

    >>> root_raised_cosine(torch.tensor([0.0, 0.5, 0.8]), torch.tensor(0.5))
    tensor([1.0000, 0.7071, 0.0000])
    """
    angle = (frequency.abs() - (1 - rolloff) / 2) * (math.pi / 2 / rolloff)
    return torch.cos(angle.clamp_(0.0, math.pi / 2)).clamp_(min=0.0)


class Linear:
    r"""Linear modulations, OQPSK among them.

    .. math:: s(t) = \sum_k c_k h(t - k T)

    with h a root-raised cosine; of OQPSK the imaginary part comes T/2 later. The bandwidth of the in-band SNR is the
    symbol rate 1/T, the noise bandwidth of the matched filter: the in-band SNR is Es/N0.

    A constellation more is a class of its own with other ``modulations`` and ``points``.

    Args:
        config: Pulses and rates.
        device: Where.
    """

    modulations: ClassVar[Mapping[str, str]] = {name: RADIOML.group_of[RADIOML.index(name)] for name in BUILDERS}

    def __init__(self, config: FieldConfig, device: torch.device) -> None:
        self.config = config.digital
        self._points, self._order = self._tables(device)
        self._offset = torch.tensor([name == "OQPSK" for name in self.modulations], device=device)
        self._frequency = torch.arange(int(0.75 * SYMBOLS), device=device, dtype=torch.float32) / SYMBOLS

    def points(self, name: str) -> Points:
        """The constellation of a modulation, of any scale: complex (order,). That of OQPSK is QPSK's."""
        return constellation("QPSK" if name == "OQPSK" else name)

    def _tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Points of unit power, padded, complex64 (modulations, largest order), and their number (modulations,)."""
        constellations = [torch.from_numpy(self.points(name)).to(torch.complex64) for name in self.modulations]
        order = torch.tensor([float(len(points)) for points in constellations])
        table = torch.zeros(len(constellations), int(order.max()), dtype=torch.complex64)
        for row, points in zip(table, constellations, strict=True):
            row[: len(points)] = points / (points.abs() ** 2).mean().sqrt()
        return table.to(device), order.to(device)

    def transmit(self, which: Tensor, draws: Draws) -> FieldSignal:
        """Random symbols, shaped in the frequency domain over the periodic sequence, at the frame's own rate."""
        clock = SymbolClock.draw(self.config, draws)
        rolloff = between(clock.spare, self.config.rolloff)
        uniform = draws.uniform(Stream.SYMBOLS, SYMBOLS)
        order = self._order[which][:, None]
        number = torch.minimum((uniform * order), order - 1).to(torch.int64)
        spectrum = torch.fft.fft(self._points[which].gather(1, number))
        shaped = torch.zeros(len(which), SYMBOLS * GRID, dtype=torch.complex64, device=which.device)
        count = len(self._frequency)
        response = root_raised_cosine(self._frequency, rolloff[:, None]) * GRID
        shaped[:, :count] = spectrum[:, :count] * response
        response = root_raised_cosine(self._frequency + 1 / SYMBOLS, rolloff[:, None]) * GRID
        shaped[:, -count:] = spectrum[:, SYMBOLS - count :] * response.flip(1)
        grid = torch.fft.ifft(shaped)
        samples = clock.sample(grid)
        offset = self._offset[which]
        if bool(offset.any()):
            late = clock.sample(grid.imag.contiguous(), late=0.5)
            samples = torch.where(offset[:, None], torch.complex(samples.real, late), samples)
        return clock.signal(samples, width=1 + rolloff, rolloff=rolloff)
