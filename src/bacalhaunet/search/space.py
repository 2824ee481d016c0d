"""What a search may choose from."""

from __future__ import annotations

from dataclasses import dataclass

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.fields import MAX_BITS, MAX_CHANNELS, MAX_KERNEL, MIN_BITS

MAX_BLOCKS = 64


@dataclass(frozen=True)
class Range:
    """The integers ``low, low + step, ...`` up to ``high``.

    Attributes:
        low: Smallest value.
        high: Largest value.
        step: Distance between two values.
    """

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        """Check that there is a value and that ``high`` is one."""
        if self.step < 1 or self.low > self.high or (self.high - self.low) % self.step:
            raise ConfigError(
                f"a range is low {self.low}, high {self.high}, step {self.step}",
                allowed="low <= high, step >= 1, and high a whole number of steps above low",
            )

    def __contains__(self, value: object) -> bool:
        """Say whether ``value`` is one of the integers."""
        return isinstance(value, int) and self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True)
class ShareRange:
    """The real numbers from ``low`` to ``high``, both shares of the whole.

    Attributes:
        low: Smallest share, 0 or more.
        high: Largest share, below 1.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the order and the limits."""
        if not 0 <= self.low <= self.high < 1:
            raise ConfigError(f"a range of shares is {self.low} to {self.high}", allowed="0 <= low <= high < 1")


@dataclass(frozen=True)
class SearchSpace:
    """Networks of separable blocks: the architecture, the bits of every layer and the share of weights pruned.

    Every value is chosen for each block or layer on its own. A range with one value fixes it.

    Attributes:
        blocks: Number of separable blocks.
        kernel: Taps of a depthwise convolution; all odd.
        stride: Step of a depthwise convolution.
        channels: Channels out of a block.
        dilation: Distance between the taps of a depthwise convolution.
        depth_multiplier: Depthwise outputs of each input channel.
        weight_bits: Bits of the weights of a layer.
        activation_bits: Bits of an activation or a residual sum.
        input_bits: Bits of the input.
        prune_share: Share of all weights that is set to zero after training.
        shared_sums: Whether both inputs of a residual sum go through one quantizer, where they can.
    """

    blocks: Range = Range(2, 6)
    kernel: Range = Range(3, 33, 2)
    stride: Range = Range(1, 2)
    channels: Range = Range(8, 64, 2)
    dilation: Range = Range(1, 1)
    depth_multiplier: Range = Range(1, 1)
    weight_bits: Range = Range(2, 8)
    activation_bits: Range = Range(2, 8)
    input_bits: Range = Range(4, 8)
    prune_share: ShareRange = ShareRange(0.0, 0.9)
    shared_sums: bool = False

    def __post_init__(self) -> None:
        """Check that every choice can be built."""
        bits = Range(MIN_BITS, MAX_BITS)
        limits = {
            "blocks": Range(1, MAX_BLOCKS),
            "kernel": Range(1, MAX_KERNEL, 2),
            "stride": Range(1, 1024),
            "channels": Range(1, MAX_CHANNELS),
            "dilation": Range(1, 1024),
            "depth_multiplier": Range(1, 1024),
            "weight_bits": bits,
            "activation_bits": bits,
            "input_bits": bits,
        }
        for name, limit in limits.items():
            asked: Range = getattr(self, name)
            # Of odd limits, odd ends and an even step between them keep every value odd.
            stepped = asked.low == asked.high or asked.step % limit.step == 0
            if not (asked.low in limit and asked.high in limit and stepped):
                odd = ", all odd" if limit.step == 2 else ""
                raise ConfigError(
                    f"space.{name} is {asked.low} to {asked.high} in steps of {asked.step}",
                    allowed=f"within {limit.low} to {limit.high}{odd}",
                    action=f"change space.{name} in the YAML",
                )
