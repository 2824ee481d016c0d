"""Networks built from their specification: float and quantized by the same code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacalhaunet.models.block import Stream
from bacalhaunet.models.layers import (
    Activation,
    BatchNorm,
    FloatConvolution,
    QuantConvolution,
    Quantizer,
    convolution,
    dense,
    learn_weight_steps,
    max_pool,
    on_one_row,
    optional_quantizer,
)
from bacalhaunet.models.native.separable import BlockSettings, applies_to, separable_block
from bacalhaunet.models.spec import (
    ACTIVATIONS,
    Block,
    ConvBlock,
    HeadSpec,
    HiddenSpec,
    InputSpec,
    InvertedResidualBlock,
    NetworkSpec,
    SeparableBlock,
)
from bacalhaunet.radio.class_set import ClassSet


class Hidden(nn.Module):
    """A dense layer, BatchNorm and an activation."""

    def __init__(self, features: int, layer: HiddenSpec) -> None:
        super().__init__()
        self.linear = dense(features, layer.features, layer.weight_bits, bias=False)
        self.norm = BatchNorm(layer.features)
        self.activation = Activation(layer.activation, layer.activation_bits, signed=ACTIVATIONS[layer.activation])

    def forward(self, features: Tensor) -> Tensor:
        """Compute the layer."""
        out: Tensor = self.activation(self.norm(self.linear(features)))
        return out


class Head(nn.Module):
    """From the last block's output to the logits; see ``HeadSpec``."""

    def __init__(self, head: HeadSpec, last: Stream, classes: int) -> None:
        super().__init__()
        self.pool, self.length = head.pool, last.length
        features = head.features(last)
        self.pooled_quantizer = optional_quantizer(head.pooled_bits, signed=features.signed)
        count = features.channels
        hidden = []
        for layer in head.hidden:
            hidden.append(Hidden(count, layer))
            count = layer.features
        self.hidden = nn.ModuleList(hidden)
        self.dense = dense(count, classes, head.weight_bits, bias=True)

    def forward(self, signal: Tensor) -> Tensor:
        """Pool and classify."""
        if self.pool == "max":
            signal = max_pool(signal, self.length)
        elif self.pool == "average":
            signal = signal.mean(dim=-1, keepdim=True)
        features = self.pooled_quantizer(torch.flatten(signal, 1))
        for layer in self.hidden:
            features = layer(features)
        logits: Tensor = self.dense(features)
        return logits


class InvertedResidual(nn.Module):
    """An inverted residual block; see ``InvertedResidualBlock`` for what it computes."""

    def __init__(self, block: InvertedResidualBlock, stream: Stream, *, quantize_output: bool) -> None:
        super().__init__()
        bits, wide, signed = block.weight_bits, block.expanded, ACTIVATIONS[block.activation]
        self.expands, self.gated, self.has_sum = (
            wide != stream.channels,
            block.squeezed is not None,
            block.has_sum(stream),
        )
        if self.expands:
            self.expand = convolution(stream.channels, wide, 1, bits)
            self.expand_norm = BatchNorm(wide)
            self.expand_activation = Activation(block.activation, block.activation_bits, signed=signed)
        self.depthwise = convolution(wide, wide, block.kernel, bits, groups=wide, stride=block.stride)
        self.depthwise_norm = BatchNorm(wide)
        self.depthwise_activation = Activation(block.activation, block.activation_bits, signed=signed)
        if block.squeezed is not None:
            self.mean_quantizer = optional_quantizer(block.activation_bits, signed=signed)
            self.squeeze = dense(wide, block.squeezed, bits, bias=True)
            self.squeeze_activation = Activation("relu", block.activation_bits)
            self.restore = dense(block.squeezed, wide, bits, bias=True)
            self.gate_quantizer = optional_quantizer(block.gate_bits, signed=signed)
        self.project = convolution(wide, block.channels, 1, bits)
        self.project_norm = BatchNorm(block.channels)
        output_bits = block.output_bits if quantize_output else None
        self.output_quantizer = optional_quantizer(output_bits, signed=True, factor=1.5)

    def forward(self, signal: Tensor) -> Tensor:
        """Compute the block."""
        wide = signal
        if self.expands:
            wide = self.expand_activation.after_norm(self.expand_norm, self.expand(signal))
        wide = self.depthwise_activation.after_norm(self.depthwise_norm, self.depthwise(wide))
        if self.gated:
            wide = self.gate_quantizer(wide * self._gate(wide))
        out: Tensor = self.project_norm(self.project(wide))
        if self.has_sum:
            out = out + signal
        result: Tensor = self.output_quantizer(out)
        return result

    def _gate(self, wide: Tensor) -> Tensor:
        """Return a factor from 0 to 1 for each channel, in the shape of a signal of one step."""
        mean = self.mean_quantizer(torch.flatten(wide.mean(dim=-1, keepdim=True), 1))
        factor = functional.hardsigmoid(self.restore(self.squeeze_activation(self.squeeze(mean))))
        factor = factor.unsqueeze(-1)
        return factor if wide.dim() == 3 else factor.unsqueeze(-1)


def fused_separable(block: Separable, signal: Tensor, output_quantizer: nn.Module | None = None) -> Tensor | None:
    """Return what ``block`` makes of ``signal``, or None where it has to be computed part by part.

    Args:
        block: The block. Where it shares one quantizer between both inputs of its sum, ``signal`` has been through it.
        signal: What goes in.
        output_quantizer: The next block's shared quantizer, for the output; the block has none of its own then.
    """
    convolution = block.depthwise
    quantizers = (_quantizer(block.depthwise_activation.quantizer), *_last_quantizers(block, output_quantizer))
    if not _in_training(block) or signal.dim() != 4:
        return None
    signal = _one_channel_a_filter(block, signal)
    if not _fits(block, signal) or any(quantizer is not None and quantizer.low < 0 for quantizer in quantizers[:2]):
        return None
    highs = [0 if quantizer is None else quantizer.high for quantizer in quantizers]
    settings = BlockSettings(
        stride=convolution.stride[0],
        padding=int(convolution.padding[0]),
        dilation=convolution.dilation[0],
        has_sum=block.has_sum,
        first_high=highs[0],
        second_high=highs[1],
        sum_low=0 if quantizers[2] is None else quantizers[2].low,
        sum_high=highs[2],
        norms=(block.depthwise_norm, block.pointwise_norm),
    )
    first, middle, last = (None if quantizer is None else quantizer.scale for quantizer in quantizers)
    depthwise, pointwise = _training_weight(convolution), _training_weight(block.pointwise)
    return separable_block(signal, depthwise, pointwise, (first, middle, last), settings)


def _one_channel_a_filter(block: Separable, signal: Tensor) -> Tensor:
    """Return ``signal`` with every channel as often as the depthwise layer has filters for it."""
    filters = block.depthwise.out_channels // block.depthwise.in_channels
    if filters == 1 or block.has_sum:  # a sum adds the signal as it came
        return signal
    return signal.movedim(1, -1).repeat_interleave(filters, -1).movedim(-1, 1)


def _in_training(block: Separable) -> bool:
    """Say whether the block is trained, by our own layers as they are."""
    norms = (block.depthwise_norm, block.pointwise_norm)
    parts = (block.depthwise, block.pointwise, block.depthwise_activation, block.pointwise_activation)
    return (
        all(type(norm) is BatchNorm and norm.training and norm.momentum is not None for norm in norms)
        and torch.is_grad_enabled()
        and not any(part.plain for part in parts)
    )


def _fits(block: Separable, signal: Tensor) -> bool:
    """Say whether the kernels take the block's shapes."""
    convolution = block.depthwise
    reach = convolution.dilation[0] * (convolution.kernel_size[0] - 1)
    length = (signal.shape[-1] + 2 * int(convolution.padding[0]) - reach - 1) // convolution.stride[0] + 1
    return signal.shape[1] == convolution.out_channels and applies_to(signal, block.pointwise.out_channels, length)


def _training_weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer, FloatConvolution | QuantConvolution)
    return layer.training_weight()


def _quantizer(module: nn.Module | None) -> Quantizer | None:
    return module if isinstance(module, Quantizer) else None


def _last_quantizers(block: Separable, output: nn.Module | None) -> tuple[Quantizer | None, Quantizer | None]:
    """Return the quantizers of the pointwise activation and of the sum."""
    second = _quantizer(block.shared_quantizer if block.shares else block.pointwise_activation.quantizer)
    if block.has_sum:
        return second, _quantizer(block.sum_quantizer) or _quantizer(output)
    return second or _quantizer(output), None


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
        classes: What each logit means; None until it is trained or read from a file.
        metrics: What was measured of it, and how it was made; plain JSON values.
    """

    classes: ClassSet | None
    metrics: dict[str, Any]

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.classes, self.metrics = None, {}
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
