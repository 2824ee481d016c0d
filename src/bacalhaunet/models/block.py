"""What every kind of block has, and what its layers look like to the metric: numbers only, nothing built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bacalhaunet.models.fields import FLOAT_BITS


@dataclass(frozen=True)
class Stream:
    """A tensor between two layers.

    Attributes:
        channels: Channels.
        length: Time steps; 1 once the features are flat.
        bits: Bits of the quantizer that made it; None if it is float32.
        signed: Whether it can be negative.
    """

    channels: int
    length: int
    bits: int | None
    signed: bool


@dataclass(frozen=True)
class LayerInfo:
    """A convolution or dense layer.

        macs = length_out * out_channels * kernel * in_channels / groups
        weights = out_channels * kernel * in_channels / groups

    Attributes:
        name: Path of the module that holds the weight, as in the state dict and in exported graphs.
        kind: ``"depthwise"``, ``"pointwise"``, ``"convolution"`` or ``"dense"``.
        in_channels: Input channels or features.
        out_channels: Output channels or features.
        kernel: Taps; 1 for a dense layer.
        stride: Step between outputs.
        dilation: Distance between taps.
        groups: Groups of channels that do not mix.
        length_out: Outputs of a channel; 1 for a dense layer.
        weight_bits: Bits of the weights as the metric charges them: 32 for float32.
        input_bits: Bits of the input, likewise; 32 after a sum that is not quantized.
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    dilation: int
    groups: int
    length_out: int
    weight_bits: int
    input_bits: int

    @property
    def weights(self) -> int:
        """Number of weights, zeros included."""
        return self.out_channels * self.kernel * self.in_channels // self.groups

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame, zero weights included."""
        return self.length_out * self.weights


def charged(bits: int | None) -> int:
    """Return the bits the metric charges for a tensor: 32 where no quantizer made it."""
    return FLOAT_BITS if bits is None else bits


def convolution(
    name: str,
    stream: Stream,
    out_channels: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    weight_bits: int | None,
) -> LayerInfo:
    """Describe a convolution of ``stream`` whose padding keeps ``length_out = ceil(length / stride)``."""
    kind = "convolution" if kernel > 1 else "pointwise"
    # A group of one channel is a depthwise layer, as the metric's report names it.
    kind = "depthwise" if groups > 1 and groups == stream.channels else kind
    return LayerInfo(
        name=name,
        kind=kind,
        in_channels=stream.channels,
        out_channels=out_channels,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        groups=groups,
        length_out=-(-stream.length // stride),
        weight_bits=charged(weight_bits),
        input_bits=charged(stream.bits),
    )


def dense(name: str, features: int, out_features: int, *, weight_bits: int | None, input_bits: int | None) -> LayerInfo:
    """Describe a dense layer."""
    return LayerInfo(name, "dense", features, out_features, 1, 1, 1, 1, 1, charged(weight_bits), charged(input_bits))


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
