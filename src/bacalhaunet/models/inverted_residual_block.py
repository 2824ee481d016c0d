"""The block of MobileNetV3, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from bacalhaunet.errors import SpecError
from bacalhaunet.models.block import ACTIVATIONS, Bits, Block, LayerInfo, Stream, bit_fields, convolution, dense
from bacalhaunet.models.fields import (
    MAX_CHANNELS,
    MAX_LENGTH,
    check_bits,
    check_choice,
    check_integer,
    check_kernel,
)


@dataclass(frozen=True)
class InvertedResidualBlock(Block):
    """MobileNetV3's block: expand, depthwise, gate the channels, project without activation, add where possible.

        e = act(norm(expand(x)))                      (absent if expanded equals the channels in)
        d = act(norm(depthwise(e)))
        g = d * hardsigmoid(restore(relu(squeeze(mean(d)))))   (absent if squeezed is null)
        out = norm(project(g)), plus x where stride is 1 and channels match

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019, section 4 and figure 4.

    Attributes:
        kernel: Taps of the depthwise convolution, odd.
        expanded: Channels of the depthwise convolution.
        channels: Channels out.
        stride: Step of the depthwise convolution.
        squeezed: Channels inside the gate; None for no gate.
        activation: ``"relu"`` or ``"hardswish"``.
        weight_bits: Bits of all weights; None for float32, as for all bits below.
        activation_bits: Bits after each activation, and of the mean in the gate.
        gate_bits: Bits of the gated product.
        output_bits: Bits of the projection; where there is a sum, of the sum.
    """

    kind: ClassVar[str] = "inverted-residual"
    kernel: int
    expanded: int
    channels: int
    stride: int = 1
    squeezed: int | None = None
    activation: str = "relu"
    weight_bits: int | None = None
    activation_bits: int | None = None
    gate_bits: int | None = None
    output_bits: int | None = None

    def has_sum(self, stream: Stream) -> bool:
        """Say whether the block adds its input."""
        return self.stride == 1 and self.channels == stream.channels

    def check(self, where: str, stream: Stream) -> None:
        """Raise SpecError if this block cannot follow ``stream``."""
        check_kernel(f"{where}.kernel", self.kernel)
        check_integer(f"{where}.expanded", self.expanded, 1, MAX_CHANNELS)
        check_integer(f"{where}.channels", self.channels, 1, MAX_CHANNELS)
        check_integer(f"{where}.stride", self.stride, 1, MAX_LENGTH)
        if self.squeezed is not None:
            check_integer(f"{where}.squeezed", self.squeezed, 1, MAX_CHANNELS)
        check_choice(f"{where}.activation", self.activation, ACTIVATIONS)
        for name in bit_fields(self):
            check_bits(f"{where}.{name}", getattr(self, name))
        if self.squeezed is None and self.gate_bits is not None:
            raise SpecError(f"{where}.gate_bits is {self.gate_bits}, and the block has no gate", where=where)

    def layers(self, name: str, stream: Stream) -> list[LayerInfo]:
        """Describe the convolutions and the two dense layers of the gate."""
        found, bits = [], self.activation_bits
        if self.expanded != stream.channels:
            found.append(convolution(f"{name}.expand", stream, self.expanded, weight_bits=self.weight_bits))
            stream = Stream(self.expanded, stream.length, bits, signed=True)
        depthwise = convolution(
            f"{name}.depthwise",
            stream,
            self.expanded,
            kernel=self.kernel,
            stride=self.stride,
            groups=self.expanded,
            weight_bits=self.weight_bits,
        )
        found.append(replace(depthwise, kind="depthwise"))
        stream = Stream(self.expanded, depthwise.length_out, bits, signed=True)
        if self.squeezed is not None:
            found.append(
                dense(f"{name}.squeeze", self.expanded, self.squeezed, weight_bits=self.weight_bits, input_bits=bits)
            )
            found.append(
                dense(f"{name}.restore", self.squeezed, self.expanded, weight_bits=self.weight_bits, input_bits=bits)
            )
            stream = replace(stream, bits=self.gate_bits)
        found.append(convolution(f"{name}.project", stream, self.channels, weight_bits=self.weight_bits))
        return found

    def out(self, stream: Stream) -> Stream:
        """Describe the output, which can be negative."""
        return Stream(self.channels, -(-stream.length // self.stride), self.output_bits, signed=True)

    def quantized(self, bits: Bits, stream: Stream) -> InvertedResidualBlock:
        """Return the block with other bits."""
        return replace(
            self,
            weight_bits=bits.weights,
            activation_bits=bits.activations,
            gate_bits=None if self.squeezed is None else bits.sums,
            output_bits=bits.sums,
        )
