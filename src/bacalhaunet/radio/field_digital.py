"""Digital transmitters of the field profile: linear modulations with a root-raised cosine, and GMSK."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bacalhaunet.radio.constellations import BUILDERS, constellation
from bacalhaunet.radio.field_config import DigitalConfig
from bacalhaunet.radio.field_draws import (
    BLOCK_LENGTH,
    MARGIN,
    Choice,
    Draws,
    FieldSignal,
    Stream,
    between,
    interpolate,
    log_between,
    phasor,
)
from bacalhaunet.radio.modulations import by_name

SYMBOLS = 336
"""Symbols of a block; a block at 4 samples a symbol uses 320. The sequence is periodic, without an edge."""

GRID = 8
"""Grid points a symbol before the resampling to the frame's own rate."""

_GMSK_BINS = 3 * SYMBOLS  # to three times the bit rate, where a Gaussian of BT 0.5 is 108 dB down


def root_raised_cosine(frequency: Tensor, rolloff: Tensor) -> Tensor:
    """Response of a root-raised cosine of unit passband.

    H(f) = 1 for |f| < (1-b)/2, cos(pi/(2b) (|f| - (1-b)/2)) up to (1+b)/2, 0 beyond.

    Args:
        frequency: In symbol rates, broadcastable with ``rolloff``.
        rolloff: Excess bandwidth b, 0 < b <= 1.
    """
    angle = (frequency.abs() - (1 - rolloff) / 2) * (math.pi / 2 / rolloff)
    return torch.cos(angle.clamp_(0.0, math.pi / 2)).clamp_(min=0.0)


def _constellation_table(device: torch.device) -> tuple[Tensor, Tensor]:
    """Points by label, padded, complex64 (24, 256), and their number (24,). QPSK of OQPSK at 45 degrees."""
    table = torch.zeros(24, 256, dtype=torch.complex64)
    order = torch.ones(24)
    for name in BUILDERS:
        points = constellation("QPSK" if name == "OQPSK" else name)
        values = torch.from_numpy(points).to(torch.complex64)
        label = by_name(name).label
        table[label, : len(values)] = values / (values.abs() ** 2).mean().sqrt()
        order[label] = len(values)
    return table.to(device), order.to(device)


def _first_instant(start: Tensor, rate: Tensor) -> Tensor:
    """Sample of the frame (real, 0 to ``rate``) at which the first symbol is at its instant."""
    position = start / GRID + MARGIN / rate
    return (position.ceil() - position) * rate


class DigitalTransmitter:
    """Makes blocks of the digital classes.

    Args:
        config: Pulses and rates.
        device: Where.
    """

    def __init__(self, config: DigitalConfig, device: torch.device) -> None:
        self.config = config
        self._points, self._order = _constellation_table(device)
        self._oqpsk = by_name("OQPSK").label
        positive = torch.arange(int(0.75 * SYMBOLS), device=device)
        self._positive, self._negative = positive, torch.arange(-len(positive), 0, device=device)
        bins = torch.arange(_GMSK_BINS, device=device)
        self._gmsk_bins = bins
        rate = bins.to(torch.float32) / SYMBOLS
        self._gmsk_frequency = rate
        self._gmsk_window = torch.sinc(rate) * torch.sinc(rate / GRID)

    def _rate(self, draws: Draws) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Samples a symbol, symbol rate in Hz, timing in grid steps and a spare uniform, each (B,)."""
        config = self.config
        u = draws.choices(Choice.PULSE)
        error = draws.spread() * config.rate_error
        low, high = config.samples_per_symbol_range
        locked = (config.samples_per_symbol * (1 + error)).clamp(4.0, 16.0)
        rate = torch.where(u[:, 0] < config.locked_share, locked, log_between(u[:, 1], (low, high)))
        return rate, log_between(u[:, 2], config.symbol_rate_hz), 6 + GRID * u[:, 3], u[:, 4]

    def linear(self, labels: Tensor, draws: Draws) -> FieldSignal:
        """Linear: s(t) = sum_k c_k h(t - kT), h a root-raised cosine; for OQPSK the imaginary part comes T/2 later.

        The bandwidth of the in-band SNR is the symbol rate 1/T, the noise bandwidth of the matched filter: the
        in-band SNR is Es/N0.

        Args:
            labels: Class of each frame, int64 (B,); any linear class.
            draws: Their random numbers.
        """
        rate, symbol_rate, start, u_rolloff = self._rate(draws)
        rolloff = between(u_rolloff, self.config.rolloff)
        uniform = draws.uniform(Stream.SYMBOLS, SYMBOLS)
        order = self._order[labels][:, None]
        number = torch.minimum((uniform * order), order - 1).to(torch.int64)
        spectrum = torch.fft.fft(self._points[labels].gather(1, number))
        shaped = torch.zeros(len(labels), SYMBOLS * GRID, dtype=torch.complex64, device=labels.device)
        frequency = self._positive.to(torch.float32) / SYMBOLS
        response = root_raised_cosine(frequency, rolloff[:, None]) * GRID
        count = len(self._positive)
        shaped[:, :count] = spectrum[:, :count] * response
        response = root_raised_cosine(frequency + 1 / SYMBOLS, rolloff[:, None]) * GRID
        shaped[:, -count:] = spectrum[:, SYMBOLS - count :] * response.flip(1)
        grid = torch.fft.ifft(shaped)
        samples = interpolate(grid, start, GRID / rate, BLOCK_LENGTH)
        if bool((labels == self._oqpsk).any()):
            late = interpolate(grid.imag.contiguous(), start - GRID / 2, GRID / rate, BLOCK_LENGTH)
            samples = torch.where((labels == self._oqpsk)[:, None], torch.complex(samples.real, late), samples)
        return FieldSignal(
            samples,
            bandwidth=1 / rate,
            occupied=(1 + rolloff) / rate,
            centre=torch.zeros_like(rate),
            sample_rate_hz=symbol_rate * rate,
            samples_per_symbol=rate,
            rolloff=rolloff,
            truth={"symbol_instant": _first_instant(start, rate)},
        )

    def gmsk(self, draws: Draws) -> FieldSignal:
        """GMSK: s(t) = exp(j pi/2 sum_k a_k q(t - kT)), q' a bit-long rectangle through a Gaussian of bandwidth BT/T.

        The Gaussian: H(f) = exp(-(ln 2 / 2) (f / B)^2) (Murota and Hirade, IEEE Trans. Commun. 29, 1981). The
        bandwidth of the in-band SNR is the bit rate 1/T.
        """
        rate, symbol_rate, start, u_bt = self._rate(draws)
        bt = between(u_bt, self.config.gmsk_bt)
        uniform = draws.uniform(Stream.SYMBOLS, SYMBOLS)
        bits = torch.where(uniform < 0.5, -1.0, 1.0)
        spectrum = torch.fft.fft(bits)[:, self._gmsk_bins % SYMBOLS]
        gaussian = torch.exp((self._gmsk_frequency / bt[:, None]) ** 2 * (-math.log(2) / 2))
        steps = torch.fft.irfft(spectrum * (gaussian * self._gmsk_window), n=SYMBOLS * GRID)
        phase = torch.cumsum(steps, 1) * (math.pi / 2)
        angle = interpolate(phase, start, GRID / rate, BLOCK_LENGTH)
        return FieldSignal(
            phasor(angle),
            bandwidth=1 / rate,
            occupied=1.2 / rate,
            centre=torch.zeros_like(rate),
            sample_rate_hz=symbol_rate * rate,
            samples_per_symbol=rate,
            rolloff=torch.zeros_like(rate),
            truth={"bt": bt, "symbol_instant": _first_instant(start, rate)},
        )
