"""Random choices of the field profile: one numbered stream a purpose, and the shapes numbers are brought to.

What a transmitter of the field profile hands to the channel, and the interpolation that sets its sample rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum

import torch
from torch import Tensor

from bacalhaunet.radio.modulations import FRAME_LENGTH
from bacalhaunet.radio.random_streams import FrameStreams

_FIRST_STREAM = 1000  # away from the twin's streams, so that twin and field frames of one name share nothing


class Stream(IntEnum):
    """Purposes that draw independently."""

    SYMBOLS = _FIRST_STREAM
    BREATH = _FIRST_STREAM + 1
    PHASE_NOISE = _FIRST_STREAM + 2
    NOISE = _FIRST_STREAM + 3
    PARAMETERS = _FIRST_STREAM + 4
    PATHS = _FIRST_STREAM + 5


class Choice(Enum):
    """Purposes of the few uniform numbers that set a frame's parameters: their place among all, and how many."""

    PULSE = (0, 6)
    SERVICE = (6, 3)
    MODULATOR = (9, 4)
    VOICES = (13, 32)
    FADING = (45, 4)
    OSCILLATOR = (49, 3)
    RECEIVER = (52, 9)


_CHOICES = 64
_PATH_NORMALS, _SPREAD_NORMALS = 18, 2  # gains of nine paths; the spread of symbol rate and of bandwidth


class Draws:
    """The random numbers of a batch of frames: parameters drawn at once for all, sequences on demand.

    Args:
        streams: The frames' counter-based streams.
    """

    def __init__(self, streams: FrameStreams) -> None:
        self._streams = streams
        self._choices = streams.uniform(Stream.PARAMETERS, _CHOICES)
        self._normals = streams.normal(Stream.PATHS, _PATH_NORMALS + _SPREAD_NORMALS)

    def pick(self, rows: Tensor) -> Draws:
        """Those of the frames at positions ``rows``."""
        part = object.__new__(Draws)
        part._streams = self._streams.pick(rows)
        part._choices, part._normals = self._choices[rows], self._normals[rows]
        return part

    def choices(self, purpose: Choice) -> Tensor:
        """Uniform numbers in (0, 1) that set the parameters of ``purpose``: float32 (B, count)."""
        start, count = purpose.value
        return self._choices[:, start : start + count]

    def spread(self) -> Tensor:
        """A standard normal number, (B,): the error of the estimated symbol rate or bandwidth."""
        return self._normals[:, _PATH_NORMALS]

    def paths(self) -> Tensor:
        """Standard normal numbers for the gains of nine paths, (B, 18)."""
        return self._normals[:, :_PATH_NORMALS]

    def uniform(self, stream: Stream, count: int) -> Tensor:
        """A sequence of uniform numbers: float32 (B, count)."""
        return self._streams.uniform(stream, count)

    def normal(self, stream: Stream, count: int) -> Tensor:
        """A sequence of standard normal numbers: float32 (B, count)."""
        return self._streams.normal(stream, count)


def between(uniform: Tensor, limits: Sequence[float]) -> Tensor:
    """Uniform between limits: low + u (high - low)."""
    low, high = limits
    return low + uniform * (high - low)


def log_between(uniform: Tensor, limits: Sequence[float]) -> Tensor:
    """Uniform in the logarithm: low (high / low)^u."""
    low, high = limits
    return low * torch.exp(uniform * math.log(high / low))


def plus_minus(uniform: Tensor, size: float) -> Tensor:
    """Uniform from -size to size."""
    return (2 * size) * (uniform - 0.5)


def amplitude(level_db: Tensor) -> Tensor:
    """10^(level / 20)."""
    return torch.exp(level_db * (math.log(10) / 20))


def choice(uniform: Tensor, count: int) -> Tensor:
    """Equally likely integers 0 .. count - 1, int64."""
    return (uniform * count).to(torch.int64).clamp_(max=count - 1)


def phasor(angle: Tensor) -> Tensor:
    """exp(j angle), complex64."""
    return torch.complex(torch.cos(angle), torch.sin(angle))


MARGIN = 128
"""Samples made before and after a frame, so that filters have settled inside it."""

BLOCK_LENGTH = FRAME_LENGTH + 2 * MARGIN
"""Samples of a block: a frame and its margins."""


@dataclass
class FieldSignal:
    """Transmitted blocks and what a receiver would want to know of them.

    Attributes:
        samples: Complex baseband, complex64 (B, BLOCK_LENGTH), any positive power.
        bandwidth: Bandwidth the in-band SNR is defined in, cycles a sample, (B,).
        occupied: Width a channel filter must pass, cycles a sample, (B,).
        centre: Middle of the occupied band, cycles a sample, (B,).
        sample_rate_hz: Sample rate, (B,); the scale of multipath delays and phase noise.
        samples_per_symbol: (B,); 0 where there are no symbols.
        rolloff: Roll-off of the pulse, (B,); 0 where there is none.
        truth: Further parameters by name, each (B,).
    """

    samples: Tensor
    bandwidth: Tensor
    occupied: Tensor
    centre: Tensor
    sample_rate_hz: Tensor
    samples_per_symbol: Tensor
    rolloff: Tensor
    truth: dict[str, Tensor] = field(default_factory=dict)


def interpolate(grid: Tensor, start: Tensor, step: Tensor, length: int) -> Tensor:
    """y[n] = x(start + n step), by cubic Lagrange interpolation.

    The error is below -50 dB for content up to 0.1 cycles per grid step and below -66 dB up to 0.0625.

    Args:
        grid: Samples x(0), x(1), ..., real or complex (B, G).
        start: First position in grid steps, (B,); at least 1.
        step: Grid steps per output sample, (B,); the last position must stay below G - 2.
        length: Output samples.

    Returns:
        (B, length), of the dtype of ``grid``.
    """
    counter = torch.arange(length, dtype=torch.float32, device=grid.device)
    position = start[:, None] + counter * step[:, None]
    whole = position.floor()
    mu = position - whole
    index = whole.to(torch.int64)
    minus, plus, two = 1 - mu, 1 + mu, 2 - mu
    outer, inner = (mu * minus).mul_(-1 / 6), (plus * two).mul_(0.5)
    result = grid.gather(1, index - 1) * (outer * two)
    result += grid.gather(1, index) * (inner * minus)
    result += grid.gather(1, index + 1) * (inner * mu)
    result += grid.gather(1, index + 2) * (outer * plus)
    return result
