"""Layers that are float or quantized by their bits alone.

Inside a network a signal has the shape (batch, channels, 1, length). On a CPU it lies in channels-last memory: as 2-D
convolutions of height 1, depthwise layers are several times faster there than torch's 1-D ones. On a GPU it lies as
``models.gpu.layout`` says. Weights keep their 1-D shape, and a network is exported with 1-D layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import brevitas.nn as qnn
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import Int8ActPerTensorFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn
from torch.nn import functional

from bacalhaunet.models.fake_quant import quantize
from bacalhaunet.models.gpu import functions as gpu
from bacalhaunet.models.gpu.passes import applies_to as gpu_applies_to
from bacalhaunet.models.gpu.passes import as_signal
from bacalhaunet.models.native import functions as kernels
from bacalhaunet.models.native.functions import largest
from bacalhaunet.models.weighted_layers import (
    SMALLEST_SCALE,
    FloatConvolution,
    QuantConvolution,
    QuantDense,
    Switch,
    convolution,
    dense,
    learn_weight_steps,
    set_weight_steps,
    stay_built,
)

__all__ = [
    "Activation",
    "BatchNorm",
    "FloatConvolution",
    "QuantConvolution",
    "QuantDense",
    "Quantizer",
    "compute_plainly",
    "convolution",
    "dense",
    "initial_threshold",
    "learn_weight_steps",
    "max_pool",
    "on_one_row",
    "optional_quantizer",
    "set_weight_steps",
]


def initial_threshold(bits: int) -> float:
    """Return ``min(4, 1 + bits / 2)``: the largest value a new activation quantizer holds, in standard deviations.

    It is near the clipping point of least squared error for the positive half of a normal distribution, which is what
    a new BatchNorm and ReLU give.
    """
    return min(4.0, 1 + bits / 2)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization over (batch, features), (batch, channels, length) or (batch, channels, 1, length)."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 3, 4):
            raise ValueError(f"got a tensor of {input.dim()} dimensions; 2, 3 or 4 are allowed")


class Quantizer(Switch, qnn.QuantIdentity):
    """Quantize activations with one learned threshold t.

        unsigned: y = s clip(round(x / s), 0, 2^bits - 1),               s = |t| / (2^bits - 1)
        signed:   y = s clip(round(x / s), -2^(bits-1), 2^(bits-1) - 1), s = |t| / 2^(bits-1)

    The threshold starts at a given value rather than at a statistic of the first batches, so that a run that is
    interrupted in its first steps goes on exactly.

    Args:
        bits: Number of bits.
        signed: Whether values can be negative.
        threshold: Initial t.
    """

    def __init__(self, bits: int, *, signed: bool, threshold: float) -> None:
        super().__init__(
            act_quant=Int8ActPerTensorFloat if signed else Uint8ActPerTensorFloat,
            bit_width=bits,
            scaling_impl_type=ScalingImplType.PARAMETER,
            scaling_init=threshold,
        )
        # When a state is loaded Brevitas builds its quantizer again, with a new Parameter, and an optimizer made before
        # would go on training the old one. A subclass of the proxy would do, but Brevitas' exporters know only theirs.
        self.act_quant.init_tensor_quant = stay_built
        self.bits = bits
        self.low: int = -(2 ** (bits - 1)) if signed else 0
        self.high: int = self.low + 2**bits - 1

    @property
    def threshold(self) -> nn.Parameter:
        """The learned threshold, a scalar."""
        value = self.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value
        assert isinstance(value, nn.Parameter)
        return value

    @property
    def scale(self) -> Tensor:
        """The step s between levels."""
        scale: Tensor = self.threshold.abs().clamp_min(SMALLEST_SCALE) / max(-self.low, self.high)
        return scale

    def forward(self, values: Tensor) -> Tensor:
        """Quantize."""
        if self.plain or self.export_mode:
            out: Tensor = super().forward(values)
            return out
        if gpu_applies_to(values):
            return gpu.quantize(values, self.scale, self.low, self.high)
        if kernels.applies_to(values):
            return kernels.quantize(values, self.scale, self.low, self.high)
        return quantize(values, self.scale, self.low, self.high)


ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "hardswish": functional.hardswish,
}
"""The activation functions of ``models.blocks.ACTIVATIONS``."""


class Activation(Switch, nn.Module):
    """An activation function and its quantizer.

    Args:
        function: A name of ``ACTIVATION_FUNCTIONS``.
        bits: Bits of the quantizer; None for none.
        signed: Whether values can be negative.
    """

    def __init__(self, function: str, bits: int | None, *, signed: bool = False) -> None:
        super().__init__()
        self.function = ACTIVATION_FUNCTIONS[function]
        self.quantizer = optional_quantizer(bits, signed=signed)

    def forward(self, signal: Tensor) -> Tensor:
        """Activate and quantize."""
        out: Tensor = self.quantizer(self.function(signal))
        return out

    def after_norm(self, norm: BatchNorm, signal: Tensor) -> Tensor:
        """Normalize, activate and quantize, in one pass over memory where a training kernel can."""
        quantizer = self.quantizer if isinstance(self.quantizer, Quantizer) else None
        # Without a gradient only float: what is measured of quantized networks rounds as torch does.
        known = not norm.training and quantizer is None and not torch.is_grad_enabled()
        possible = (norm.training or known) and not self.plain and self.function is functional.relu
        on_gpu = gpu_applies_to(signal)
        if not possible or not (on_gpu or kernels.applies_to(signal)) or (quantizer and quantizer.low < 0):
            return cast("Tensor", self(norm(signal)))
        device: Any = gpu if on_gpu else kernels
        if known:
            return cast("Tensor", device.known_norm_activation(signal, norm))
        step, high = (None, 0) if quantizer is None else (quantizer.scale, quantizer.high)
        return cast("Tensor", device.norm_activation(signal, norm, step, high))


def optional_quantizer(bits: int | None, *, signed: bool, factor: float = 1.0) -> nn.Module:
    """Return a quantizer whose threshold starts at ``factor`` times ``initial_threshold``; none without bits."""
    if bits is None:
        return nn.Identity()
    return Quantizer(bits, signed=signed, threshold=factor * initial_threshold(bits))


def max_pool(signal: Tensor, length: int) -> Tensor:
    """Return the maximum of each ``length`` steps; a last incomplete window is dropped."""
    if length == 1:
        return signal
    if signal.dim() == 3:
        return functional.max_pool1d(signal, length)
    if length == signal.shape[-1] and gpu_applies_to(signal):
        return signal.max(-1, keepdim=True).values
    if length == signal.shape[-1] and kernels.applies_to(signal):
        return largest(signal)
    return functional.max_pool2d(signal, (1, length))


def compute_plainly(network: nn.Module, plain: bool = True) -> None:
    """Make a network compute through torch and Brevitas alone (``plain``), or the fast way, which is equal."""
    for module in network.modules():
        if isinstance(module, Switch):
            module.plain = plain


def on_one_row(frames: Tensor) -> Tensor:
    """Return (batch, channels, length) as (batch, channels, 1, length), laid out as the device's layers want it."""
    if frames.is_cuda:
        return as_signal(frames.transpose(0, 1).contiguous())
    return frames.unsqueeze(2).contiguous(memory_format=torch.channels_last)
