"""The block of VGG networks, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from bacalhaunet.errors import SpecError
from bacalhaunet.models.block import ACTIVATIONS, Bits, Block, LayerInfo, Stream, convolution
from bacalhaunet.models.fields import (
    MAX_CHANNELS,
    MAX_LENGTH,
    check_bits,
    check_choice,
    check_integer,
    check_kernel,
)


@dataclass(frozen=True)
class ConvBlock(Block):
    """A convolution, BatchNorm, an activation and max pooling: the block of VGG networks.

        out = maxpool(activation(norm(convolution(x))))

    Attributes:
        kernel: Taps, odd.
        channels: Channels out.
        stride: Step between outputs.
        dilation: Distance between taps.
        groups: Groups of channels that do not mix.
        pool: Length and step of the max pooling; 1 for none.
        activation: ``"relu"`` or ``"hardswish"``.
        weight_bits: Bits of the weights; None for float32.
        activation_bits: Bits after the activation; None for float32.
    """

    kind: ClassVar[str] = "conv"
    kernel: int
    channels: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    pool: int = 1
    activation: str = "relu"
    weight_bits: int | None = None
    activation_bits: int | None = None

    def check(self, where: str, stream: Stream) -> None:
        """Raise SpecError if this block cannot follow ``stream``."""
        check_kernel(f"{where}.kernel", self.kernel)
        check_integer(f"{where}.channels", self.channels, 1, MAX_CHANNELS)
        check_integer(f"{where}.stride", self.stride, 1, MAX_LENGTH)
        check_integer(f"{where}.dilation", self.dilation, 1, MAX_LENGTH)
        check_integer(f"{where}.groups", self.groups, 1, MAX_CHANNELS)
        if stream.channels % self.groups or self.channels % self.groups:
            raise SpecError(
                f"{where}.groups is {self.groups} for {stream.channels} channels in and {self.channels} out",
                where=where,
                allowed="a divisor of both",
            )
        check_integer(f"{where}.pool", self.pool, 1, -(-stream.length // self.stride))
        check_choice(f"{where}.activation", self.activation, ACTIVATIONS)
        check_bits(f"{where}.weight_bits", self.weight_bits)
        check_bits(f"{where}.activation_bits", self.activation_bits)

    def layers(self, name: str, stream: Stream) -> list[LayerInfo]:
        """Describe the convolution."""
        return [
            convolution(
                f"{name}.convolution",
                stream,
                self.channels,
                kernel=self.kernel,
                stride=self.stride,
                dilation=self.dilation,
                groups=self.groups,
                weight_bits=self.weight_bits,
            )
        ]

    def out(self, stream: Stream) -> Stream:
        """Describe the output after pooling, which drops a last incomplete window."""
        length = -(-stream.length // self.stride) // self.pool
        return Stream(self.channels, length, self.activation_bits, ACTIVATIONS[self.activation])

    def quantized(self, bits: Bits, stream: Stream) -> ConvBlock:
        """Return the block with other bits."""
        return replace(self, weight_bits=bits.weights, activation_bits=bits.activations)
