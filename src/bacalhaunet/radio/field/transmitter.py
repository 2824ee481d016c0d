"""What a transmitter of the field profile is: it makes blocks of signal, whatever happens to them on the way.

A transmitter is a class in a module of its own with a row in ``registry.TRANSMITTERS``; nothing else knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
from torch import Tensor

from bacalhaunet.radio.modulations import FRAME_LENGTH

if TYPE_CHECKING:
    from bacalhaunet.radio.field.config import FieldConfig
    from bacalhaunet.radio.field.draws import Draws

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
        silent: Whether there is no signal, so that the noise has unit power whatever the SNR.
    """

    samples: Tensor
    bandwidth: Tensor
    occupied: Tensor
    centre: Tensor
    sample_rate_hz: Tensor
    samples_per_symbol: Tensor
    rolloff: Tensor
    truth: dict[str, Tensor] = field(default_factory=dict)
    silent: bool = False


class Transmitter(Protocol):
    """Makes blocks of one modulation, or of several that share their code.

    Attributes:
        modulations: Name of each modulation, and the group it belongs to.
    """

    modulations: ClassVar[Mapping[str, str]]

    def __init__(self, config: FieldConfig, device: torch.device) -> None: ...

    def transmit(self, which: Tensor, draws: Draws) -> FieldSignal:
        """Make one block a frame.

        Args:
            which: Modulation of each frame as its place in ``modulations``, int64 (B,).
            draws: Random numbers of the frames; nothing else may be random.

        Returns:
            A signal whose block of a frame does not depend on the other frames.
        """
        ...


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

    >>> line = torch.arange(8.0)[None]
    >>> interpolate(line, torch.tensor([1.5]), torch.tensor([0.5]), 4)
    tensor([[1.5000, 2.0000, 2.5000, 3.0000]])
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
