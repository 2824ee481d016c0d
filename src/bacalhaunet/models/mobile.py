"""MobileNetV3's inverted residual block, built."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacalhaunet.models.blocks import ACTIVATIONS, InvertedResidualBlock
from bacalhaunet.models.layer_info import Stream
from bacalhaunet.models.layers import Activation, BatchNorm, convolution, dense, optional_quantizer


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
