"""Where a separable block can be computed as one function in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bacalhaunet.models.layers import BatchNorm, FloatConvolution, QuantConvolution, Quantizer
from bacalhaunet.models.native.separable import BlockSettings, applies_to, separable_block

if TYPE_CHECKING:
    from bacalhaunet.models.network import Separable


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
