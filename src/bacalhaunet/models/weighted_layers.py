"""Convolutions and dense layers whose weights are float or quantized by their bits alone.

Weights keep their 1-D shape; a signal may have a row of its own (see ``models.layers``).
"""

from __future__ import annotations

from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import Int8WeightPerTensorFloat
from torch import Tensor, nn
from torch.nn import functional

from bacalhaunet.models.fake_quant import quantize
from bacalhaunet.models.gpu import functions as gpu
from bacalhaunet.models.gpu.depthwise import depthwise as gpu_depthwise
from bacalhaunet.models.gpu.passes import applies_to as gpu_applies_to
from bacalhaunet.models.native import functions as kernels

SMALLEST_SCALE = 1e-10
"""Lower bound of every scale, as in Brevitas."""


class Switch:
    """A layer that has two ways to compute the same.

    Attributes:
        plain: Whether to compute through torch and Brevitas alone.
    """

    plain = False


def stay_built() -> None:
    """Do nothing where Brevitas would build a quantizer again."""


def _convolve(layer: nn.Conv1d, signal: Tensor, weight: Tensor) -> Tensor:
    """Convolve (batch, channels, length), or (batch, channels, 1, length) as a 2-D convolution of height 1."""
    stride, padding, dilation = layer.stride[0], int(layer.padding[0]), layer.dilation[0]
    if signal.dim() == 3:
        return functional.conv1d(signal, weight, None, stride, padding, dilation, layer.groups)
    plain = getattr(layer, "plain", False)
    if not plain and gpu_applies_to(signal):
        if layer.groups == layer.in_channels:
            return gpu_depthwise(signal, weight, stride, padding, dilation)
        if layer.groups == layer.kernel_size[0] == stride == 1:
            return gpu.pointwise(signal, weight)
    if not plain and kernels.applies_to(signal):
        if layer.groups == layer.in_channels == layer.out_channels:
            return kernels.depthwise(signal, weight, stride, padding, dilation)
        if layer.groups == layer.kernel_size[0] == stride == 1:
            return kernels.pointwise(signal, weight)
    return functional.conv2d(signal, weight.unsqueeze(2), None, (1, stride), (0, padding), (1, dilation), layer.groups)


class FloatConvolution(Switch, nn.Conv1d):
    """A 1-D convolution over (batch, channels, length) or (batch, channels, 1, length)."""

    def training_weight(self) -> Tensor:
        """Return the weights that training convolves with."""
        return self.weight

    def forward(self, signal: Tensor) -> Tensor:
        """Convolve."""
        return _convolve(self, signal, self.weight)


class _FastWeights(Switch):
    """Quantizes a layer's weights without Brevitas' passes; Brevitas computes the same and writes the export."""

    weight: nn.Parameter
    weight_quant: Any
    export_mode: bool
    weight_bits: int

    @property
    def learned_threshold(self) -> nn.Parameter | None:
        """The largest weight t that training learns; None without ``learn_step``."""
        threshold: nn.Parameter | None = getattr(self.weight_quant.tensor_quant.scaling_impl, "value", None)
        return threshold

    def quantized_weight(self) -> Tensor:
        """Return ``s clip(round(w / s), -n, n)`` with ``n = 2^(bits - 1) - 1`` and ``s = t / n``.

        t is ``max |w|``, or the magnitude of the learned threshold after ``learn_step``.
        """
        largest, learned = 2 ** (self.weight_bits - 1) - 1, self.learned_threshold
        reach = self.weight.abs().max() if learned is None else learned.abs()
        return quantize(self.weight, reach.clamp_min(SMALLEST_SCALE) / largest, -largest, largest)

    def learn_step(self) -> None:
        """Make t a parameter, which starts at ``max |w|``. Source: Esser et al., "Learned step size quantization"."""
        kind, reach, proxy = ScalingImplType.PARAMETER, float(self.weight.detach().abs().max()), self.weight_quant
        proxy.quant_injector = proxy.quant_injector.let(scaling_impl_type=kind, scaling_init=reach)
        proxy.init_tensor_quant()
        proxy.init_tensor_quant = stay_built

    def set_step(self) -> None:
        """Set a learned threshold to the one of least squared error for the weights as they are."""
        threshold, weight = self.learned_threshold, self.weight.detach()
        largest, reach = 2 ** (self.weight_bits - 1) - 1, float(weight.abs().max())
        if threshold is None or reach == 0:
            return
        errors = {}
        for share in torch.linspace(1 / 64, 1, 64).tolist():
            step = share * reach / largest
            levels = (weight / step).round().clamp(-largest, largest)
            errors[share] = float((levels * step - weight).square().sum())
        with torch.no_grad():
            threshold.fill_(reach * min(errors, key=errors.__getitem__))


class QuantConvolution(_FastWeights, qnn.QuantConv1d):
    """``FloatConvolution`` with quantized weights."""

    def training_weight(self) -> Tensor:
        """Return the weights that training convolves with."""
        return self.quantized_weight()

    def forward(self, signal: Tensor) -> Tensor:
        """Convolve with quantized weights."""
        if self.plain or self.export_mode:
            out: Tensor = super().forward(signal)
            return out
        return _convolve(self, signal, self.quantized_weight())

    def inner_forward_impl(self, x: Tensor, quant_weight: Tensor, quant_bias: Tensor | None) -> Tensor:
        """Convolve with the weights Brevitas quantized."""
        return _convolve(self, x, getattr(quant_weight, "value", quant_weight))


class QuantDense(_FastWeights, qnn.QuantLinear):
    """A dense layer with quantized weights."""

    def forward(self, features: Tensor) -> Tensor:
        """Multiply by quantized weights."""
        if self.plain or self.export_mode:
            out: Tensor = super().forward(features)
            return out
        return functional.linear(features, self.quantized_weight(), self.bias)


def convolution(channels_in: int, channels_out: int, kernel: int, bits: int | None, **options: Any) -> nn.Conv1d:
    """Return a convolution without bias, padded by ``dilation * (kernel - 1) / 2`` on both sides.

    Quantized weights have one scale for the tensor: ``s clip(round(w / s), -n, n)`` with ``n = 2^(bits - 1) - 1`` and
    ``s = max |w| / n``.
    """
    options["padding"] = options.get("dilation", 1) * (kernel - 1) // 2
    if bits is None:
        return FloatConvolution(channels_in, channels_out, kernel, bias=False, **options)
    layer = QuantConvolution(
        channels_in,
        channels_out,
        kernel,
        bias=False,
        weight_quant=Int8WeightPerTensorFloat,
        weight_bit_width=bits,
        **options,
    )
    layer.weight_bits = bits
    return layer


def dense(features_in: int, features_out: int, bits: int | None, *, bias: bool) -> nn.Linear:
    """Return a dense layer; weights are quantized as those of ``convolution``, the bias is float."""
    if bits is None:
        return nn.Linear(features_in, features_out, bias=bias)
    layer = QuantDense(
        features_in, features_out, bias=bias, weight_quant=Int8WeightPerTensorFloat, weight_bit_width=bits
    )
    layer.weight_bits = bits
    return layer


def learn_weight_steps(network: nn.Module) -> None:
    """Give every layer with quantized weights a learned step; see ``learn_step``."""
    for module in network.modules():
        if isinstance(module, _FastWeights):
            module.learn_step()


def set_weight_steps(network: nn.Module) -> None:
    """Set every learned step of weights to the one of least squared error; see ``set_step``."""
    for module in network.modules():
        if isinstance(module, _FastWeights):
            module.set_step()
