"""Networks built from their specification: float and quantized by the same code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.models.blocks import Block, ConvBlock, InvertedResidualBlock, SeparableBlock
from bacalhaunet.models.fused import fused_separable
from bacalhaunet.models.layer_info import Stream
from bacalhaunet.models.layers import (
    Activation,
    BatchNorm,
    Quantizer,
    convolution,
    learn_weight_steps,
    max_pool,
    on_one_row,
    optional_quantizer,
)
from bacalhaunet.models.mobile import InvertedResidual
from bacalhaunet.models.network_head import Head
from bacalhaunet.models.spec import InputSpec, NetworkSpec


class InputStage(nn.Module):
    """Clip, then quantize to signed levels with a learned threshold that starts at the clip's larger bound.

    Brevitas' own clipping activation learns its range and does not enforce the lower bound, so the clip is explicit.
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.clip = spec.clip
        largest = 2.0 if spec.clip is None else max(-spec.clip[0], spec.clip[1])
        self.quantizer = nn.Identity() if spec.bits is None else Quantizer(spec.bits, signed=True, threshold=largest)

    def forward(self, frames: Tensor) -> Tensor:
        """Clip and quantize."""
        if self.clip is not None:
            frames = torch.clamp(frames, *self.clip)
        out: Tensor = self.quantizer(frames)
        return out


class Separable(nn.Module):
    """A separable block; see ``SeparableBlock`` for what it computes."""

    def __init__(self, block: SeparableBlock, stream: Stream, *, quantize_output: bool) -> None:
        super().__init__()
        wide = stream.channels * block.depth_multiplier
        self.depthwise = convolution(
            stream.channels,
            wide,
            block.kernel,
            block.depthwise_weight_bits,
            groups=stream.channels,
            stride=block.stride,
            dilation=block.dilation,
        )
        self.depthwise_norm = BatchNorm(wide)
        self.depthwise_activation = Activation("relu", block.depthwise_activation_bits)
        self.pointwise = convolution(wide, block.channels, 1, block.pointwise_weight_bits)
        self.pointwise_norm = BatchNorm(block.channels)
        self.has_sum, self.shares = block.has_sum(stream), block.shared_sum_quantizer
        own = block.pointwise_activation_bits if (self.has_sum or quantize_output) and not self.shares else None
        self.pointwise_activation = Activation("relu", own)
        if self.shares:
            self.shared_quantizer = optional_quantizer(block.pointwise_activation_bits, signed=False)
        if self.has_sum:
            bits = block.sum_bits if quantize_output else None
            self.sum_quantizer = optional_quantizer(bits, signed=stream.signed, factor=1.5)

    def forward(self, signal: Tensor, output_quantizer: nn.Module | None = None) -> Tensor:
        """Compute the block.

        Args:
            signal: Through this block's shared quantizer already, where it has one.
            output_quantizer: The next block's shared quantizer, where that has one.
        """
        whole = fused_separable(self, signal, output_quantizer)
        if whole is not None:
            return whole
        between = self.depthwise_activation.after_norm(self.depthwise_norm, self.depthwise(signal))
        out: Tensor = self.pointwise_activation.after_norm(self.pointwise_norm, self.pointwise(between))
        if self.shares:
            out = self.shared_quantizer(out)
        if self.has_sum:
            out = self.sum_quantizer(out + signal)
        return out if output_quantizer is None else output_quantizer(out)


class Convolutional(nn.Module):
    """A convolution block; see ``ConvBlock`` for what it computes."""

    def __init__(self, block: ConvBlock, stream: Stream, *, quantize_output: bool) -> None:
        super().__init__()
        self.convolution = convolution(
            stream.channels,
            block.channels,
            block.kernel,
            block.weight_bits,
            stride=block.stride,
            dilation=block.dilation,
            groups=block.groups,
        )
        self.norm = BatchNorm(block.channels)
        bits = block.activation_bits if quantize_output else None
        self.activation = Activation(block.activation, bits, signed=block.out(stream).signed)
        self.pool = block.pool

    def forward(self, signal: Tensor) -> Tensor:
        """Compute the block."""
        return max_pool(self.activation.after_norm(self.norm, self.convolution(signal)), self.pool)


BUILDERS: dict[type[Block], Callable[..., nn.Module]] = {
    SeparableBlock: Separable,
    ConvBlock: Convolutional,
    InvertedResidualBlock: InvertedResidual,
}
"""What builds each kind of block."""


class Network(nn.Module):
    """A network: frames in, logits out.

    Attributes:
        spec: What it was built from.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.input = InputStage(spec.input)
        # A Sequential would give exported layers other names than the state dict's.
        self.blocks = nn.ModuleList(_build_blocks(spec))
        self.head = Head(spec.head, spec.streams()[-1], spec.classes)
        if spec.learned_weight_steps:
            learn_weight_steps(self)

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits (batch, classes) of frames float32 (batch, 2, length), I then Q."""
        signal = self.input(frames)
        if not torch.onnx.is_in_onnx_export():
            signal = on_one_row(signal)
        for block, after in zip(self.blocks, [*self.blocks[1:], None], strict=True):
            signal = _computed(block, signal, getattr(after, "shared_quantizer", None))
        logits: Tensor = self.head(signal)
        return logits


def _computed(block: nn.Module, signal: Tensor, output_quantizer: nn.Module | None) -> Tensor:
    """Compute a block, and the quantizer that the next one shares between its input and its sum."""
    if isinstance(block, Separable):
        out: Tensor = block(signal, output_quantizer)
        return out
    out = block(signal)
    return out if output_quantizer is None else output_quantizer(out)


def _build_blocks(spec: NetworkSpec) -> list[nn.Module]:
    streams = spec.streams()
    # A block that shares one quantizer between the inputs of its sum has the quantizer of its input, too.
    later = [block.shares_quantizer(stream) for block, stream in zip(spec.blocks[1:], streams[1:], strict=False)] + [
        False
    ]
    built: list[nn.Module] = []
    for block, stream, taken_over in zip(spec.blocks, streams, later, strict=False):
        builder: Callable[..., Any] = BUILDERS[type(block)]
        built.append(builder(block, stream, quantize_output=not taken_over))
    return built


def build_network(spec: NetworkSpec) -> Network:
    """Build the network of a specification, with weights drawn from torch's current generator.

    Layers with bits are Brevitas', the others torch's; the structure and the names of all weights are the same, so
    that a float network's state loads into a quantized one (``models.states``).
    """
    return Network(spec)
