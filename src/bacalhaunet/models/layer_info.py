"""What a network's layers look like to the metric: numbers only, nothing built."""

from __future__ import annotations

from dataclasses import dataclass

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
