"""Layers that are float or quantized by their bits alone.

Inside a network a signal has the shape (batch, channels, 1, length). On a CPU it lies in channels-last memory: as 2-D
convolutions of height 1, depthwise layers are several times faster there than torch's 1-D ones. On a GPU it lies as
``models.gpu.passes`` says. Weights keep their 1-D shape, and a network is exported with 1-D layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import brevitas.nn as qnn
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerTensorFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn
from torch.nn import functional

from bacalhaunet.models.fake_quant import quantize
from bacalhaunet.models.gpu import functions as gpu
from bacalhaunet.models.gpu.depthwise import depthwise as gpu_depthwise
from bacalhaunet.models.gpu.passes import applies_to as gpu_applies_to
from bacalhaunet.models.gpu.passes import as_signal
from bacalhaunet.models.native import functions as kernels
from bacalhaunet.models.native.functions import largest

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
"""The activation functions of ``models.block.ACTIVATIONS``."""


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
