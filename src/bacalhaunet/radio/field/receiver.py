"""What the field profile does to a block after the transmitter: multipath, then the receiver up to a frame.

Multipath follows named power delay profiles, Rician or Rayleigh, constant over a frame. The receiver has an oscillator,
noise, a tuner, a converter and a channel filter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.field.config import FadingConfig, ReceiverConfig
from bacalhaunet.radio.field.draws import Choice, Draws, Stream, amplitude, between, choice, phasor, plus_minus
from bacalhaunet.radio.field.linear import root_raised_cosine
from bacalhaunet.radio.field.transmitter import BLOCK_LENGTH, MARGIN, FieldSignal
from bacalhaunet.radio.modulations import FRAME_LENGTH

_PHASE_NOISE_AT_HZ = 10e3
_SMALLEST = 1e-30


def noise_power(snr_db: Tensor, bandwidth: Tensor) -> Tensor:
    """sigma^2 = 1 / (10^(L / 10) B): power of complex white noise beside a signal of unit power.

    L is the in-band SNR in dB and B the signal's bandwidth in cycles a sample (``FieldSignal.bandwidth``), so that
    P / (N0 B) = 10^(L / 10) with N0 = sigma^2 at one cycle a sample. For linear digital classes and GMSK that is
    Es/N0; over the whole sampled band the SNR is 10 log10(1/B) lower, 9 dB at 8 samples a symbol.

    >>> noise_power(torch.tensor(10.0), torch.tensor(1 / 8))
    tensor(0.8000)
    """
    return torch.exp(snr_db * (-math.log(10) / 10)) / bandwidth


class Receiver:
    """Turns transmitted blocks into frames.

    Args:
        config: Its defects and filters.
        device: Where.
    """

    def __init__(self, config: ReceiverConfig, device: torch.device) -> None:
        self.config = config
        self._time = torch.arange(BLOCK_LENGTH, device=device, dtype=torch.float32) - BLOCK_LENGTH / 2
        self._frequency = torch.fft.fftfreq(BLOCK_LENGTH, device=device)
        self._bits = torch.tensor(config.bits, device=device, dtype=torch.float32)

    def rotation(self, signal: FieldSignal, draws: Draws) -> Tensor:
        """exp(j (phi + 2 pi f n + w[n])), w a Wiener process: complex64 (B, BLOCK_LENGTH). Adds f to the truth."""
        config = self.config
        u = draws.choices(Choice.OSCILLATOR)
        offset = plus_minus(u[:, 0], config.carrier_offset) * signal.bandwidth
        linewidth = torch.exp(between(u[:, 1], config.phase_noise_db) * (math.log(10) / 10))
        linewidth = linewidth * (2 * math.pi * _PHASE_NOISE_AT_HZ**2)
        spread = (linewidth * (2 * math.pi) / signal.sample_rate_hz).sqrt()
        walk = torch.cumsum(draws.normal(Stream.PHASE_NOISE, BLOCK_LENGTH) * spread[:, None], 1)
        signal.truth["carrier_offset"] = offset
        return phasor(self._time * (2 * math.pi * offset)[:, None] + walk + (2 * math.pi * u[:, 2])[:, None])

    def noise(self, power: Tensor, draws: Draws) -> Tensor:
        """Complex white noise of ``power`` (B,): complex64 (B, BLOCK_LENGTH)."""
        normal = draws.normal(Stream.NOISE, 2 * BLOCK_LENGTH) * (power * 0.5).sqrt()[:, None]
        return torch.complex(normal[:, :BLOCK_LENGTH], normal[:, BLOCK_LENGTH:])

    def receive(self, samples: Tensor, signal: FieldSignal, draws: Draws) -> Tensor:
        """Tuner, converter, filter, cut and scaling.

        Args:
            samples: Signal and noise, complex64 (B, BLOCK_LENGTH).
            signal: What was sent, for the widths of the filters.
            draws: Random numbers of the frames.

        Returns:
            float32 (B, 2, FRAME_LENGTH), mean |x|^2 = 1 in each frame.
        """
        u = draws.choices(Choice.RECEIVER)
        converted = self._convert(self._tune(samples, u), u)
        filtered = torch.fft.ifft(torch.fft.fft(converted) * self._filter(signal, u))
        frame = torch.view_as_real(filtered)[:, MARGIN : MARGIN + FRAME_LENGTH].transpose(1, 2).contiguous()
        power = (frame**2).sum((1, 2)) / FRAME_LENGTH
        return frame / power.clamp_(min=_SMALLEST).sqrt_()[:, None, None]

    def _tune(self, samples: Tensor, u: Tensor) -> Tensor:
        """I' = I + d_I, Q' = g (Q cos p + I sin p) + d_Q of samples brought to unit power."""
        config = self.config
        in_phase, quadrature = samples.real, samples.imag
        power = (in_phase**2 + quadrature**2).mean(1)
        scale = power.clamp(min=_SMALLEST).rsqrt()[:, None]
        gain = amplitude(plus_minus(u[:, 0], config.gain_imbalance_db))
        skew = plus_minus(u[:, 1], math.radians(config.phase_imbalance_deg))
        offset = amplitude(between(u[:, 2], config.dc_offset_db))
        turn = 2 * math.pi * u[:, 3]
        direct, crossed = scale * (gain * torch.cos(skew))[:, None], scale * (gain * torch.sin(skew))[:, None]
        skewed = torch.addcmul((offset * torch.sin(turn))[:, None], quadrature, direct).addcmul_(in_phase, crossed)
        return torch.complex(torch.addcmul((offset * torch.cos(turn))[:, None], in_phase, scale), skewed)

    def _convert(self, samples: Tensor, u: Tensor) -> Tensor:
        """Clip each component at full scale A and round it to A 2^(1 - bits)."""
        headroom = amplitude(between(u[:, 4], self.config.headroom_db))
        full_scale = (headroom * math.sqrt(0.5))[:, None, None]
        steps = torch.exp2(self._bits[choice(u[:, 5], len(self._bits))] - 1)[:, None, None]
        parts = torch.view_as_real(samples) * (steps / full_scale)
        parts = torch.minimum(torch.maximum(parts.round_(), -steps), steps - 1) * (full_scale / steps)
        return torch.view_as_complex(parts)

    def _filter(self, signal: FieldSignal, u: Tensor) -> Tensor:
        """Response of the filter after the converter, (B, BLOCK_LENGTH): none, a channel filter or the matched one.

        The channel filter is flat to its half width w/2 and falls as a raised cosine to zero at 0.65 w.
        """
        config = self.config
        has_symbols = signal.samples_per_symbol > 0
        matched = (signal.rolloff > 0) & (u[:, 6] < config.matched_filter_share)
        # The matched filter takes its share of the linear classes first, the channel filter its own of the rest.
        channel = ~matched & (u[:, 7] < config.channel_filter_share)
        width = signal.occupied * between(u[:, 8], config.channel_filter_width)
        centre = signal.centre + signal.truth["carrier_offset"]
        distance = (self._frequency - centre[:, None] + 0.5).remainder(1.0).sub_(0.5).abs_()
        fall = ((distance / width[:, None] - 0.5) / 0.15).clamp_(0.0, 1.0)
        response = torch.where(channel[:, None], 0.5 + 0.5 * torch.cos(fall * math.pi), 1.0)
        rate = torch.where(has_symbols, signal.samples_per_symbol, torch.ones_like(width))
        rolloff = torch.where(matched, signal.rolloff, torch.ones_like(width))
        root = root_raised_cosine(self._frequency * rate[:, None], rolloff[:, None])
        signal.truth["matched"], signal.truth["channel_filter"] = matched, channel
        return torch.where(matched[:, None], root, response)


DELAY_PROFILES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # 3GPP TS 36.101, tables B.2.1-2 to B.2.1-4
    "EPA": ((0, 30, 70, 90, 110, 190, 410), (0, -1, -2, -3, -8, -17.2, -20.8)),
    "EVA": ((0, 30, 150, 310, 370, 710, 1090, 1730, 2510), (0, -1.5, -1.4, -3.6, -0.6, -9.1, -7, -12, -16.9)),
    "ETU": ((0, 50, 120, 200, 230, 500, 1600, 2300, 5000), (-1, -1, -1, 0, 0, 0, -3, -5, -7)),
    # COST 207 as in 3GPP TS 45.005, annex C.3: rural area (6 taps), typical urban (6 taps)
    "COST207-RA": ((0, 100, 200, 300, 400, 500), (0, -4, -8, -12, -16, -20)),
    "COST207-TU": ((0, 200, 500, 1600, 2300, 5000), (-3, 0, -2, -6, -8, -10)),
    # Recommendation ITU-R M.1225, annex 2, table 3 (pedestrian A) and table 4 (vehicular A)
    "ITU-PA": ((0, 110, 190, 410), (0, -9.7, -19.2, -22.8)),
    "ITU-VA": ((0, 310, 710, 1090, 1730, 2510), (0, -1, -9, -10, -15, -20)),
}
"""Excess delays in ns and mean powers in dB of the paths."""

_PATHS = max(len(delays) for delays, _ in DELAY_PROFILES.values())
_BEFORE, _TAPS = 12, 72  # filter taps before the first path, and in all: delays to 47 samples
_HALF_WIDTH = 12.5  # of the windowed sinc that stands for a fractional delay, in samples
_LONGEST_DELAY = _TAPS - _BEFORE - 13


class Fading:
    """Draws a channel a frame.

    Args:
        config: Shares and profiles.
        device: Where.
    """

    def __init__(self, config: FadingConfig, device: torch.device) -> None:
        unknown = [name for name in config.profiles if name not in DELAY_PROFILES]
        if unknown:
            raise ConfigError(f"fading.profiles names {unknown[0]!r}", allowed=", ".join(DELAY_PROFILES))
        self.config = config
        delays, scales = torch.zeros(len(config.profiles), _PATHS), torch.zeros(len(config.profiles), _PATHS)
        for row, name in enumerate(config.profiles):
            nanoseconds, levels = DELAY_PROFILES[name]
            powers = 10 ** (torch.tensor(levels, dtype=torch.float64) / 10)
            delays[row, : len(levels)] = torch.tensor(nanoseconds) * 1e-9
            scales[row, : len(levels)] = (powers / powers.sum()).sqrt()
        self._delays, self._scales = delays.to(device), scales.to(device)
        self._taps = torch.arange(-_BEFORE, _TAPS - _BEFORE, device=device, dtype=torch.float32)

    def response(self, sample_rate_hz: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """H[k] = DFT of h[n] = sum_l g_l sinc(n - tau_l fs), and the kind of channel.

        Scattered paths are g_l ~ CN(0, p_l); with a line of sight of factor K they weigh 1 / (K + 1) and a path of
        power K / (K + 1) and random phase is added at zero delay. Mean power is 1; a single path is the identity.

        Args:
            sample_rate_hz: fs of each frame, (B,).
            draws: Random numbers of the frames.

        Returns:
            complex64 (B, BLOCK_LENGTH); and int64 (B,): 0 one path, 1 Rician, 2 Rayleigh.
        """
        config = self.config
        u = draws.choices(Choice.FADING)
        gains = draws.paths() * math.sqrt(0.5)
        profile = choice(u[:, 0], len(self._delays))
        rician = u[:, 1] < config.rician_share
        rayleigh = ~rician & (u[:, 1] < config.rician_share + config.rayleigh_share)
        factor = torch.exp(between(u[:, 2], config.rician_k_db) * (math.log(10) / 10))
        scattered = torch.where(rician, 1 / (1 + factor), rayleigh.to(torch.float32)).sqrt()
        sight = torch.where(rician, factor / (1 + factor), (~rayleigh).to(torch.float32)).sqrt()
        weights = self._scales[profile] * scattered[:, None]
        turn = torch.where(rician, 2 * math.pi * u[:, 3], torch.zeros_like(factor))  # a single path is the identity
        real = gains[:, :_PATHS] * weights
        imag = gains[:, _PATHS:] * weights
        delay = (self._delays[profile] * sample_rate_hz[:, None]).clamp(max=float(_LONGEST_DELAY))
        kernel = _delayed(self._taps - delay[:, :, None])
        paths = torch.complex((real[:, :, None] * kernel).sum(1), (imag[:, :, None] * kernel).sum(1))
        impulse = torch.zeros(len(u), BLOCK_LENGTH, dtype=torch.complex64, device=u.device)
        impulse[:, : _TAPS - _BEFORE] = paths[:, _BEFORE:]
        impulse[:, -_BEFORE:] = paths[:, :_BEFORE]
        impulse[:, 0] += torch.complex(sight * torch.cos(turn), sight * torch.sin(turn))
        return torch.fft.fft(impulse), rician.to(torch.int64) + 2 * rayleigh.to(torch.int64)


def _delayed(offset: Tensor) -> Tensor:
    """sinc(x) cos^2(pi x / (2 w)) for |x| < w, 0 beyond: a fractional delay."""
    window = torch.cos(offset.clamp(-_HALF_WIDTH, _HALF_WIDTH) * (math.pi / (2 * _HALF_WIDTH))) ** 2
    return torch.sinc(offset) * window
