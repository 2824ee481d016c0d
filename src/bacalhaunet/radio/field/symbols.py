"""Symbol clock of the digital transmitters: samples a symbol, symbol rate and timing of each frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bacalhaunet.radio.field.config import DigitalConfig
from bacalhaunet.radio.field.draws import Choice, Draws, log_between
from bacalhaunet.radio.field.transmitter import BLOCK_LENGTH, MARGIN, FieldSignal, interpolate

SYMBOLS = 336
"""Symbols of a block; a block at 4 samples a symbol uses 320. The sequence is periodic, without an edge."""

GRID = 8
"""Grid points a symbol before the resampling to the frame's own rate."""


class SymbolClock(NamedTuple):
    """Rate and timing of a batch of frames, each (B,).

    Attributes:
        rate: Samples a symbol, 4 to 16.
        symbol_rate_hz: Symbols a second.
        start: Place of the block's first sample on the grid of ``GRID`` points a symbol.
        spare: A uniform number in (0, 1) for one parameter of the pulse.
    """

    rate: Tensor
    symbol_rate_hz: Tensor
    start: Tensor
    spare: Tensor

    @staticmethod
    def draw(config: DigitalConfig, draws: Draws) -> SymbolClock:
        """Draw the clock of each frame: estimated well, or anywhere in the range."""
        u = draws.choices(Choice.PULSE)
        error = draws.spread() * config.rate_error
        locked = (config.samples_per_symbol * (1 + error)).clamp(4.0, 16.0)
        anywhere = log_between(u[:, 1], config.samples_per_symbol_range)
        rate = torch.where(u[:, 0] < config.locked_share, locked, anywhere)
        return SymbolClock(rate, log_between(u[:, 2], config.symbol_rate_hz), 6 + GRID * u[:, 3], u[:, 4])

    def sample(self, grid: Tensor, late: float = 0.0) -> Tensor:
        """Samples of the block from values at ``GRID`` points a symbol, (B, BLOCK_LENGTH), ``late`` symbols late.

        Args:
            grid: Real or complex (B, SYMBOLS * GRID).
            late: Delay in symbols, 0 to 0.5.
        """
        return interpolate(grid, self.start - GRID * late, GRID / self.rate, BLOCK_LENGTH)

    def signal(
        self, samples: Tensor, *, width: Tensor | float, rolloff: Tensor | None = None, **truth: Tensor
    ) -> FieldSignal:
        """The signal of some samples; the bandwidth of its in-band SNR is the symbol rate.

        Args:
            samples: Complex baseband, complex64 (B, BLOCK_LENGTH).
            width: Width that a channel filter must pass, in symbol rates.
            rolloff: Roll-off of a root-raised cosine, (B,), if that is the pulse.
            truth: Further parameters, each (B,).
        """
        position = self.start / GRID + MARGIN / self.rate
        instant = (position.ceil() - position) * self.rate  # sample of the frame at which a symbol is at its instant
        return FieldSignal(
            samples,
            bandwidth=1 / self.rate,
            occupied=width / self.rate,
            centre=torch.zeros_like(self.rate),
            sample_rate_hz=self.symbol_rate_hz * self.rate,
            samples_per_symbol=self.rate,
            rolloff=torch.zeros_like(self.rate) if rolloff is None else rolloff,
            truth=truth | {"symbol_instant": instant},
        )
