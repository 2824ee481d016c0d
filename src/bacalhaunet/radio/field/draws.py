"""Random numbers of the field profile: one numbered stream a purpose, and the distributions they are brought to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum, IntEnum

import torch
from torch import Tensor

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
    TRANSMITTER = _FIRST_STREAM + 6
    """Free to every transmitter, for parameters that the choices below have no place for."""


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
    """Uniform in the logarithm: low (high / low)^u.

    >>> log_between(torch.tensor([0.0, 0.5, 1.0]), (1.0, 100.0)).round().tolist()
    [1.0, 10.0, 100.0]
    """
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
