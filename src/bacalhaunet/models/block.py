"""What every kind of block has, and the bits a whole network is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bacalhaunet.models.layer_info import LayerInfo, Stream

ACTIVATIONS = {"relu": False, "hardswish": True}
"""Activation functions by name, and whether their output can be negative."""


@dataclass(frozen=True)
class Bits:
    """Bits for a whole network, None for float32.

    Attributes:
        weights: Bits of every weight.
        activations: Bits of every activation.
        sums: Bits of residual sums, and of the other results no activation follows (a gated product, a linear
            projection). None leaves them in float32, as the networks of 2021 did; the metric charges 32 bits then.
        shared_sums: Whether both inputs of a residual sum go through one quantizer.
    """

    weights: int | None
    activations: int | None
    sums: int | None
    shared_sums: bool = False


@dataclass(frozen=True)
class Block:
    """What every kind of block has."""

    kind: ClassVar[str]

    def check(self, where: str, stream: Stream) -> None:
        """Raise SpecError if this block cannot follow the tensor ``stream``."""
        raise TypeError(type(self))

    def layers(self, name: str, stream: Stream) -> list[LayerInfo]:
        """Describe the weighted layers of the block fed by ``stream``, in the order they are computed."""
        raise TypeError(type(self))

    def out(self, stream: Stream) -> Stream:
        """Describe what the block makes of ``stream``."""
        raise TypeError(type(self))

    def quantized(self, bits: Bits, stream: Stream) -> Block:
        """Return the same block with other bits, fed by ``stream``."""
        raise TypeError(type(self))

    def shares_quantizer(self, stream: Stream) -> bool:
        """Say whether the block quantizes its input itself, with the quantizer of its last activation."""
        return False


def bit_fields(block: Block) -> list[str]:
    """Return the names of a block's fields that hold bits."""
    return [name for name in block.__dataclass_fields__ if name.endswith("_bits")]
