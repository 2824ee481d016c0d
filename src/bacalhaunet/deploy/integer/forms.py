"""What a tensor of the ONNX graph is, while the graph is walked: levels, sums of levels, pending layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from bacalhaunet.deploy.integer.program import FloatArray, IntArray


@dataclass(frozen=True)
class InputForm:
    """The real samples, perhaps clipped."""

    length: int
    clip_low: float = -np.inf
    clip_high: float = np.inf
    channels: int = 2


@dataclass(frozen=True)
class LevelsForm:
    """Sum of tensors of the program: real number = sum of their scales times their integers."""

    tensors: tuple[str, ...]
    channels: int
    length: int


@dataclass(frozen=True)
class Pool:
    """A pending max pool."""

    name: str
    kernel: int
    stride: int
    pad: int
    length: int


@dataclass(frozen=True)
class PendingForm:
    """A convolution waiting for its quantizer: y = clip(scale (sum of taps in real units) + offset, low, high), pooled.

    Attributes:
        name: Node the layer is named after.
        sources: Tensors of the program.
        weights: Integer taps (outputs, inputs / groups, kernel), the same for each source.
        scale: (sources, outputs) real value of an integer 1 in each source's sum; of any sign.
        offset: (outputs,).
        low: Lower clip in real units: 0 after a ReLU.
        high: Upper clip.
        pools: Max pools after it; they commute with every function that does not decrease.
        length: Length before the pools.
    """

    name: str
    sources: tuple[str, ...]
    weights: IntArray
    groups: int
    stride: int
    dilation: int
    pad: int
    scale: FloatArray
    offset: FloatArray
    length: int
    low: float = -np.inf
    high: float = np.inf
    pools: tuple[Pool, ...] = ()

    @property
    def pooled_length(self) -> int:
        """Length after the pools."""
        return self.pools[-1].length if self.pools else self.length

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.offset)

    @property
    def clipped(self) -> bool:
        """Whether it is no longer affine in the sums."""
        return self.low > -np.inf or self.high < np.inf

    def affine(self, factor: FloatArray | float, shift: FloatArray | float) -> PendingForm:
        """Return ``factor * y + shift`` by channel."""
        return replace(self, scale=self.scale * factor, offset=self.offset * factor + shift)

    def clip(self, low: float, high: float) -> PendingForm:
        """Return the form clipped to [low, high] after what is already there."""
        return replace(self, low=min(max(self.low, low), high), high=max(min(self.high, high), low))


@dataclass(frozen=True)
class WeightsForm:
    """Quantized constants: integers times a scale that is one number or one a row of the first axis."""

    integers: IntArray
    scale: FloatArray

    @property
    def real(self) -> FloatArray:
        """The constants as real numbers."""
        return self.integers * self.scale


@dataclass(frozen=True)
class ShapeForm:
    """Something worked out from shapes only; it can do nothing but give a reshape its target."""


@dataclass(frozen=True)
class FloatForm:
    """Real numbers that have no integer form, and why."""

    node: str
    reason: str
    action: str


Form: TypeAlias = InputForm | LevelsForm | PendingForm | WeightsForm | ShapeForm | FloatForm
