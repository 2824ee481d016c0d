"""What happens to a frame before the first block, as data."""

from __future__ import annotations

from dataclasses import dataclass

from bacalhaunet.errors import SpecError
from bacalhaunet.models.fields import (
    MAX_CHANNELS,
    check_bits,
    check_finite,
    check_integer,
)


@dataclass(frozen=True)
class InputSpec:
    """What happens to a frame first.

    Attributes:
        channels: Rows of a frame; 2 for I and Q.
        clip: Lowest and highest value kept, as the report's [-2, 3]; None for no clipping.
        bits: Bits of the signed input quantizer; None for float32.
    """

    channels: int = 2
    clip: tuple[float, float] | None = (-2.0, 3.0)
    bits: int | None = None

    def __post_init__(self) -> None:
        """Take the pair from a list, as files give it."""
        clip: object = self.clip
        if isinstance(clip, list):
            object.__setattr__(self, "clip", tuple(clip))

    def check(self) -> None:
        """Raise SpecError if a value is not allowed."""
        check_integer("input.channels", self.channels, 1, MAX_CHANNELS)
        check_bits("input.bits", self.bits)
        if self.clip is None:
            return
        if not isinstance(self.clip, tuple) or len(self.clip) != 2:
            raise SpecError(f"input.clip is {self.clip!r}", where="input", allowed="null or [lowest, highest]")
        for value in self.clip:
            check_finite("input.clip", value)
        if not self.clip[0] < 0 < self.clip[1]:
            raise SpecError(f"input.clip is {list(self.clip)}", where="input", allowed="lowest < 0 < highest")
