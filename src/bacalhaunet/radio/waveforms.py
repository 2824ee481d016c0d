"""Clean blocks of each class of the twin: unit nominal power, no offset, no noise.

Each function takes the twin's config, the streams of B frames and their labels and gives float32 (B, 2, M). Stream
numbers are fixed here once and for all: changing one changes every frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from bacalhaunet.radio.constellations import RINGS, constellation
from bacalhaunet.radio.modulations import MODULATIONS, SAMPLES_PER_SYMBOL, by_name
from bacalhaunet.radio.pulses import pulse_bank, shape
from bacalhaunet.radio.random_streams import FrameStreams
from bacalhaunet.radio.twin_config import TwinConfig

STREAM_SYMBOLS, STREAM_TIMING, STREAM_MESSAGE, STREAM_ANALOG = 0, 1, 2, 3
STREAM_PHASE, STREAM_OFFSET, STREAM_NOISE, STREAM_UNSEEN = 4, 5, 6, 7
STREAMS = tuple(range(8))

_RUN = 8  # symbols a pulse matrix advances: a product of (8 + 2 half_span) x 64 is the fastest on CPUs
_MAX_ORDER = 256
_OQPSK = by_name("OQPSK").label
_KNOT_SPACING = 64  # samples between the independent numbers behind the slow message

Waveform = Callable[[TwinConfig, FrameStreams, Tensor], Tensor]


@lru_cache(maxsize=8)
def _constellation_tables(config: TwinConfig, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """In-phase and quadrature points, float32 (24 * 256,), and orders, float32 (24,); analog classes have order 1."""
    points = np.zeros((len(MODULATIONS), _MAX_ORDER), dtype=np.complex128)
    orders = np.ones(len(MODULATIONS), dtype=np.float32)
    for modulation in MODULATIONS:
        if modulation.order is None or modulation.name == "GMSK":
            continue
        rings = None
        if modulation.name in RINGS:
            rings = (RINGS[modulation.name][0], getattr(config, f"rings_{modulation.name.lower()}"))
        values = constellation(modulation.name, rings)
        points[modulation.label, : len(values)] = values
        orders[modulation.label] = len(values)
    flat = torch.from_numpy(points.ravel().astype(np.complex64)).to(device)
    return flat.real.contiguous(), flat.imag.contiguous(), torch.from_numpy(orders).to(device)


@lru_cache(maxsize=8)
def _linear_bank(config: TwinConfig, device: torch.device) -> Tensor:
    shifts = tuple(range(SAMPLES_PER_SYMBOL + SAMPLES_PER_SYMBOL // 2))
    bank = pulse_bank(
        config.roll_off, config.cascaded_filters, config.pulse_half_span, config.timing_fraction, _RUN, shifts
    )
    return bank.to(device)


def linear(config: TwinConfig, streams: FrameStreams, modulation: Tensor) -> Tensor:
    """s(n) = sum_k c_k h(n - 8 k - d): random symbols c_k, delay d of 0 to 7 samples and the timing fraction.

    OQPSK's imaginary part is another half symbol (4 samples) late.
    """
    rows, runs = len(streams), config.block_length // (SAMPLES_PER_SYMBOL * _RUN)
    in_phase, quadrature, orders = _constellation_tables(config, modulation.device)
    drawn = streams.uniform(STREAM_SYMBOLS, runs * _RUN + 2 * config.pulse_half_span)
    place = (drawn * orders[modulation].unsqueeze(1)).to(torch.int64) + (modulation * _MAX_ORDER).unsqueeze(1)
    symbols = torch.stack((in_phase[place], quadrature[place]), 1).view(2 * rows, -1)
    delay = streams.integers(STREAM_TIMING, 1, SAMPLES_PER_SYMBOL)
    half = torch.where(modulation == _OQPSK, SAMPLES_PER_SYMBOL // 2, 0).unsqueeze(1)
    choice = torch.cat((delay, delay + half), 1).view(-1)
    return shape(symbols, _linear_bank(config, modulation.device), choice, runs).view(rows, 2, -1)


@lru_cache(maxsize=8)
def _gmsk_bank(config: TwinConfig, device: torch.device) -> Tensor:
    shifts = tuple(range(SAMPLES_PER_SYMBOL))
    bank = pulse_bank(
        config.gmsk_roll_off, config.gmsk_cascaded_filters, config.pulse_half_span, config.timing_fraction, _RUN, shifts
    )
    # A bit turns the phase by pi h in all: its frequency pulse sums to h / 2 cycles. Each sample sees, over all
    # symbols, 1/8 of the sum of one pulse.
    return (bank * (config.gmsk_index / 2 / bank.double().sum(1).mean() / SAMPLES_PER_SYMBOL)).to(device)


def gmsk(config: TwinConfig, streams: FrameStreams, modulation: Tensor) -> Tensor:
    """s(n) = exp(j 2 pi sum_{m <= n} f(m)), f = (h / 2) sum_k b_k q(m - 8 k - d), b_k = +-1, sum q = 1."""
    rows, runs = len(streams), config.block_length // (SAMPLES_PER_SYMBOL * _RUN)
    drawn = streams.uniform(STREAM_SYMBOLS, runs * _RUN + 2 * config.pulse_half_span)
    bits = (drawn < 0.5).to(torch.float32).mul_(2).sub_(1)
    delay = streams.integers(STREAM_TIMING, 1, SAMPLES_PER_SYMBOL).view(-1)
    frequency = shape(bits, _gmsk_bank(config, modulation.device), delay, runs)
    return _tone(torch.cumsum(frequency, 1), rows)


def _tone(cycles: Tensor, rows: int) -> Tensor:
    """exp(j 2 pi c) as (rows, 2, M); whole cycles are dropped first, for float32's sake."""
    angle = (cycles - cycles.round()).mul_(2 * math.pi)
    out = torch.empty(rows, 2, cycles.shape[1], device=cycles.device)
    torch.cos(angle, out=out[:, 0])
    torch.sin(angle, out=out[:, 1])
    return out


@lru_cache(maxsize=8)
def _message_kernel(block_length: int, bandwidth: float, device: torch.device) -> Tensor:
    """Matrix (knots, M) from independent normals to a stationary band-limited process of unit variance.

    A Hann-windowed ideal low-pass, sampled every 64 samples; its replicas start at 1/64 - bandwidth, far outside.
    """
    reach = 16
    knots = np.arange(-reach, block_length // _KNOT_SPACING + reach + 1) * _KNOT_SPACING
    time = np.arange(block_length)[None, :] - knots[:, None]
    width = reach * _KNOT_SPACING
    window = np.where(np.abs(time) < width, 0.5 + 0.5 * np.cos(np.pi * time / width), 0.0)
    kernel = np.sinc(2 * bandwidth * time) * window
    kernel /= np.sqrt((kernel**2).sum(0).mean())
    return torch.from_numpy(kernel.astype(np.float32)).to(device)


def message(config: TwinConfig, streams: FrameStreams) -> Tensor:
    """The slow message g(n): zero mean, unit variance, normal, band-limited: float32 (B, M)."""
    kernel = _message_kernel(config.block_length, config.message_bandwidth, streams.device)
    return streams.normal(STREAM_MESSAGE, kernel.shape[0]) @ kernel


def _envelope(config: TwinConfig, streams: FrameStreams, median: Tensor, spread: Tensor) -> Tensor:
    """1 + k g(n), the depth k log-normal over frames: k = median exp(spread z)."""
    depth = median * torch.exp(spread * streams.normal(STREAM_ANALOG, 1))
    return message(config, streams).mul_(depth).add_(1.0)


def _pair(modulation: Tensor, name: str, first: float, other: float) -> Tensor:
    """``first`` where the row is class ``name``, else ``other``: float32 (B, 1)."""
    return torch.where(modulation == by_name(name).label, first, other).to(torch.float32).unsqueeze(1)


def single_sideband(config: TwinConfig, streams: FrameStreams, modulation: Tensor) -> Tensor:
    """s(n) = 1 + k g(n): a constant with a slow, shallow message; both classes, they differ in k."""
    envelope = _envelope(
        config,
        streams,
        _pair(modulation, "AM-SSB-SC", config.ssb_sc_depth, config.ssb_wc_depth),
        _pair(modulation, "AM-SSB-SC", config.ssb_sc_depth_spread, 0.0),
    )
    return torch.stack((envelope, torch.zeros_like(envelope)), 1)


def double_sideband(config: TwinConfig, streams: FrameStreams, modulation: Tensor) -> Tensor:
    """s(n) = sqrt(2) cos(2 pi f0 n + phi) (1 + k g(n)): real; both classes, they differ in k."""
    envelope = _envelope(
        config,
        streams,
        _pair(modulation, "AM-DSB-SC", config.dsb_sc_depth, config.dsb_wc_depth),
        _pair(modulation, "AM-DSB-SC", config.dsb_sc_depth_spread, 0.0),
    )
    count = torch.arange(config.block_length, dtype=torch.float32, device=modulation.device)
    cycles = torch.add(streams.uniform(STREAM_TIMING, 1), count, alpha=config.dsb_frequency)
    carrier = torch.cos((cycles - cycles.round()).mul_(2 * math.pi)).mul_(envelope).mul_(math.sqrt(2))
    return torch.stack((carrier, torch.zeros_like(carrier)), 1)


def frequency_modulation(config: TwinConfig, streams: FrameStreams, modulation: Tensor) -> Tensor:
    """s(n) = exp(j 2 pi f0 sum_{m <= n} (1 + r g(m))): a tone with a small relative deviation r."""
    frequency = message(config, streams).mul_(config.fm_deviation).add_(1.0).mul_(config.fm_frequency)
    return _tone(torch.cumsum(frequency, 1), len(streams))


_SPECIAL: dict[str, Waveform] = {
    "GMSK": gmsk,
    "AM-SSB-WC": single_sideband,
    "AM-SSB-SC": single_sideband,
    "AM-DSB-WC": double_sideband,
    "AM-DSB-SC": double_sideband,
    "FM": frequency_modulation,
}

WAVEFORMS: tuple[Waveform, ...] = tuple(_SPECIAL.get(modulation.name, linear) for modulation in MODULATIONS)
"""The waveform function of each label."""
