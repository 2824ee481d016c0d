"""Multipath of the field profile: named power delay profiles, Rician and Rayleigh, constant over a frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.field_config import FadingConfig
from bacalhaunet.radio.field_draws import Choice, Draws, between, choice
from bacalhaunet.radio.field_signal import BLOCK_LENGTH

PROFILES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
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

_PATHS = max(len(delays) for delays, _ in PROFILES.values())
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
        unknown = [name for name in config.profiles if name not in PROFILES]
        if unknown:
            raise ConfigError(f"fading.profiles names {unknown[0]!r}", allowed=", ".join(PROFILES))
        self.config = config
        delays, scales = torch.zeros(len(config.profiles), _PATHS), torch.zeros(len(config.profiles), _PATHS)
        for row, name in enumerate(config.profiles):
            nanoseconds, levels = PROFILES[name]
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
