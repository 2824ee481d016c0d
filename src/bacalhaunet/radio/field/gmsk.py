"""GMSK of the field profile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from bacalhaunet.radio.field.config import FieldConfig
from bacalhaunet.radio.field.draws import Draws, Stream, between, phasor
from bacalhaunet.radio.field.symbols import GRID, SYMBOLS, SymbolClock
from bacalhaunet.radio.field.transmitter import FieldSignal

_BINS = 3 * SYMBOLS  # to three times the bit rate, where a Gaussian of BT 0.5 is 108 dB down


class GMSK:
    r"""Gaussian minimum-shift keying.

    .. math:: s(t) = \exp\left(j \frac{\pi}{2} \sum_k a_k q(t - k T)\right)

    a_k = +-1, q' a rectangle of one bit through a Gaussian of bandwidth B = BT/T,
    H(f) = exp(-(ln 2 / 2) (f / B)^2) (Murota and Hirade, IEEE Trans. Commun. 29, 1981). The bandwidth of the in-band
    SNR is the bit rate 1/T.

    Args:
        config: Bandwidth-time products and rates.
        device: Where.
    """

    modulations: ClassVar[Mapping[str, str]] = {"GMSK": "GMSK"}

    def __init__(self, config: FieldConfig, device: torch.device) -> None:
        self.config = config.digital
        self._bins = torch.arange(_BINS, device=device)
        self._frequency = self._bins.to(torch.float32) / SYMBOLS
        self._window = torch.sinc(self._frequency) * torch.sinc(self._frequency / GRID)

    def transmit(self, which: Tensor, draws: Draws) -> FieldSignal:
        """Random bits, filtered in the frequency domain over the periodic sequence; the phase is their sum."""
        clock = SymbolClock.draw(self.config, draws)
        bt = between(clock.spare, self.config.gmsk_bt)
        bits = torch.where(draws.uniform(Stream.SYMBOLS, SYMBOLS) < 0.5, -1.0, 1.0)
        spectrum = torch.fft.fft(bits)[:, self._bins % SYMBOLS]
        gaussian = torch.exp((self._frequency / bt[:, None]) ** 2 * (-math.log(2) / 2))
        steps = torch.fft.irfft(spectrum * (gaussian * self._window), n=SYMBOLS * GRID)
        phase = torch.cumsum(steps, 1) * (math.pi / 2)
        return clock.signal(phasor(clock.sample(phase)), width=1.2, bt=bt)
