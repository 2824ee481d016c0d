"""The end of a network: pooling over time and dense layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bacalhaunet.models.blocks import ACTIVATIONS
from bacalhaunet.models.layer_info import Stream
from bacalhaunet.models.layers import Activation, BatchNorm, dense, max_pool, optional_quantizer
from bacalhaunet.models.spec import HeadSpec, HiddenSpec


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
