"""Random choices of the field profile: one numbered stream a purpose, and the shapes numbers are brought to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor

_FIRST_STREAM = 1000  # away from the twin's streams, so that twin and field frames of one name share nothing


class Stream(IntEnum):
    """Purposes that draw independently."""

    SYMBOLS = _FIRST_STREAM
    PULSE = _FIRST_STREAM + 1
    SERVICE = _FIRST_STREAM + 2
    VOICES = _FIRST_STREAM + 3
    BREATH = _FIRST_STREAM + 4
    MODULATOR = _FIRST_STREAM + 5
    FADING = _FIRST_STREAM + 6
    PATHS = _FIRST_STREAM + 7
    OSCILLATOR = _FIRST_STREAM + 8
    PHASE_NOISE = _FIRST_STREAM + 9
    NOISE = _FIRST_STREAM + 10
    RECEIVER = _FIRST_STREAM + 11


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
