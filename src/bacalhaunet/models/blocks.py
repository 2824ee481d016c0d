"""The blocks of BacalhauNet, of VGG networks and of MobileNetV3, as data."""

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
    check_flag,
    check_integer,
    check_kernel,
)


@dataclass(frozen=True)
class SeparableBlock(Block):
    """A depthwise separable convolution, BatchNorm and ReLU after each half, and a sum where shapes allow.

        y = relu(norm(pointwise(relu(norm(depthwise(x))))))
        out = x + y if residual, stride is 1 and channels match, else y

    Source: BacalhauNet report (ITU AI/ML in 5G challenge 2021), section 3.

    Attributes:
        kernel: Taps of the depthwise convolution, odd.
        channels: Channels out.
        stride: Step of the depthwise convolution.
        dilation: Distance between its taps.
        depth_multiplier: Depthwise outputs of each input channel.
        residual: Whether to add the input where stride is 1 and channels match.
        depthwise_weight_bits: Bits of the depthwise weights; None for float32, as for all bits below.
        depthwise_activation_bits: Bits after the first ReLU.
        pointwise_weight_bits: Bits of the pointwise weights.
        pointwise_activation_bits: Bits after the second ReLU.
        sum_bits: Bits of the sum; None leaves it unquantized and the next layer is charged 32 bits.
        shared_sum_quantizer: Whether one quantizer serves both inputs of the sum. It then quantizes the block's
            input in place of the quantizer at the end of the block before.
    """

    kind: ClassVar[str] = "separable"
    kernel: int
    channels: int
    stride: int = 1
    dilation: int = 1
    depth_multiplier: int = 1
    residual: bool = True
    depthwise_weight_bits: int | None = None
    depthwise_activation_bits: int | None = None
    pointwise_weight_bits: int | None = None
    pointwise_activation_bits: int | None = None
    sum_bits: int | None = None
    shared_sum_quantizer: bool = False

    def has_sum(self, stream: Stream) -> bool:
        """Say whether the block adds its input."""
        return self.residual and self.stride == 1 and self.channels == stream.channels

    def check(self, where: str, stream: Stream) -> None:
        """Raise SpecError if this block cannot follow ``stream``."""
        check_kernel(f"{where}.kernel", self.kernel)
        check_integer(f"{where}.channels", self.channels, 1, MAX_CHANNELS)
        check_integer(f"{where}.stride", self.stride, 1, MAX_LENGTH)
        check_integer(f"{where}.dilation", self.dilation, 1, MAX_LENGTH)
        check_integer(f"{where}.depth_multiplier", self.depth_multiplier, 1, 1024)
        check_flag(f"{where}.residual", self.residual)
        check_flag(f"{where}.shared_sum_quantizer", self.shared_sum_quantizer)
        for name in bit_fields(self):
            check_bits(f"{where}.{name}", getattr(self, name))
        self._check_sum(where, stream)

    def _check_sum(self, where: str, stream: Stream) -> None:
        if self.sum_bits is not None and not self.has_sum(stream):
            raise SpecError(
                f"{where}.sum_bits is {self.sum_bits}, and the block has no sum",
                where=where,
                allowed=f"null, or residual with stride 1 and {stream.channels} channels",
            )
        if self.shared_sum_quantizer and not self.has_sum(stream):
            raise SpecError(f"{where}.shared_sum_quantizer is set, and the block has no sum", where=where)
        if not self.shared_sum_quantizer:
            return
        if self.pointwise_activation_bits is None or stream.signed:
            raise SpecError(
                f"{where}.shared_sum_quantizer needs quantized inputs that are never negative",
                where=where,
                allowed="pointwise_activation_bits set, and a block with ReLU before",
            )
        if stream.bits != self.pointwise_activation_bits:
            raise SpecError(
                f"{where}.shared_sum_quantizer has {self.pointwise_activation_bits} bits for one input of the sum and "
                f"{stream.bits} for the other",
                where=where,
                allowed="the same bits for this block's pointwise_activation_bits and the output of the block before",
            )

    def shares_quantizer(self, stream: Stream) -> bool:
        """Say whether the block quantizes its input itself."""
        return self.shared_sum_quantizer

    def layers(self, name: str, stream: Stream) -> list[LayerInfo]:
        """Describe the two convolutions."""
        middle = stream.channels * self.depth_multiplier
        depthwise = convolution(
            f"{name}.depthwise",
            stream,
            middle,
            kernel=self.kernel,
            stride=self.stride,
            dilation=self.dilation,
            groups=stream.channels,
            weight_bits=self.depthwise_weight_bits,
        )
        between = Stream(middle, depthwise.length_out, self.depthwise_activation_bits, signed=False)
        pointwise = convolution(f"{name}.pointwise", between, self.channels, weight_bits=self.pointwise_weight_bits)
        return [replace(depthwise, kind="depthwise"), replace(pointwise, kind="pointwise")]

    def out(self, stream: Stream) -> Stream:
        """Describe the output: bits of the sum if there is one, else of the last activation."""
        summed = self.has_sum(stream)
        bits = self.sum_bits if summed else self.pointwise_activation_bits
        return Stream(self.channels, -(-stream.length // self.stride), bits, signed=summed and stream.signed)

    def quantized(self, bits: Bits, stream: Stream) -> SeparableBlock:
        """Return the block with the same bits in all its layers."""
        summed = self.has_sum(stream)
        shared = bits.shared_sums and summed and not stream.signed and bits.activations is not None
        return replace(
            self,
            depthwise_weight_bits=bits.weights,
            depthwise_activation_bits=bits.activations,
            pointwise_weight_bits=bits.weights,
            pointwise_activation_bits=bits.activations,
            sum_bits=bits.sums if summed else None,
            shared_sum_quantizer=shared and stream.bits == bits.activations,
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
