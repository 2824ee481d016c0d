"""A separable block as one differentiable function, which takes a third of the memory traffic of its parts.

    z1 = depthwise(x),  y1 = q1(relu(norm1(z1))),  z2 = pointwise(y1),  y2 = q2(relu(norm2(z2))),  y = q(y2 + x) or y2

with ``q(v) = s clip(round(v / s), low, high)``, or ``v`` where there is no quantizer. Signals are float32
(batch, channels, 1, length) in channels-last memory. It computes what ``models.native.functions`` compute part by part.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.models.native import functions
from bacalhaunet.models.native.build import kernels, widths
from bacalhaunet.models.native.functions import address, checked, signal_tensor, thread_count

MAX_CHANNELS = 1024
WIDTH = 8
"""Floats of a vector at least; the kernels take channels in groups of it, or several steps of fewer at once."""


class _Shape(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int)
        for name in ("batch", "length_in", "length_out", "inputs", "outputs", "kernel", "stride", "padding", "dilation")
    )


class _Norm(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("gamma", "beta", "running_mean", "running_variance")),
        *((name, ctypes.c_void_p) for name in ("slope", "shift", "mean", "inverse")),
        *((name, ctypes.c_float) for name in ("momentum", "epsilon", "step", "highest")),
    )


class _Residual(ctypes.Structure):
    _fields_ = (("x", ctypes.c_void_p), *((name, ctypes.c_float) for name in ("step", "lowest", "highest")))


class _NormGradient(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("gamma", "beta", "by_z", "constant", "step", "sum_step"))


@dataclass(frozen=True)
class BlockSettings:
    """What a block is beside its tensors.

    Attributes:
        stride, padding, dilation: Of the depthwise convolution.
        has_sum: Whether the input is added.
        first_high, second_high: Highest level of each activation's quantizer.
        sum_low, sum_high: Range of levels of the sum's quantizer.
        norms: The two normalizations; their running statistics move.
    """

    stride: int
    padding: int
    dilation: int
    has_sum: bool
    first_high: int
    second_high: int
    sum_low: int
    sum_high: int
    norms: tuple[nn.BatchNorm1d, nn.BatchNorm1d]


def applies_to(signal: Tensor, channels_out: int, length_out: int) -> bool:
    """Say whether a block of these shapes can be computed as one."""
    channels, length = signal.shape[1], signal.shape[-1]
    return (
        functions.applies_to(signal)
        and all(_takes(count) for count in (channels, channels_out))
        and channels * length % WIDTH == channels * length_out % WIDTH == channels_out * length_out % WIDTH == 0
    )


def _takes(channels: int) -> bool:
    return channels <= MAX_CHANNELS and (channels % WIDTH == 0 or WIDTH % channels == 0)


def _library(shape: _Shape) -> ctypes.CDLL:
    """Return the kernels with the widest vectors that the channels fill."""
    wide = [width for width in widths() if shape.inputs % width == shape.outputs % width == 0]
    library = kernels(wide[0] if wide else WIDTH)
    assert library is not None
    return library


def _numbers(norm: nn.BatchNorm1d, gamma: Tensor, beta: Tensor, step: float, high: int) -> tuple[_Norm, Tensor]:
    """Return a normalization as the kernels know it, and the tensor that gets what it found in the batch."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    found = torch.empty((4, len(gamma)))
    own = [address(tensor) for tensor in (gamma, beta, norm.running_mean, norm.running_var, *found)]
    return _Norm(*own, norm.momentum, norm.eps, step, high), found


def _step(scale: Tensor | None) -> float:
    return 0.0 if scale is None else float(scale.detach())


@dataclass(frozen=True)
class _Forward:
    """What a pass forward leaves."""

    shape: _Shape
    residual: _Residual
    taps: Tensor
    matrix: Tensor
    z1: Tensor
    z2: Tensor
    out: Tensor


def _run_forward(
    x: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    first: _Norm,
    second: _Norm,
    sum_step: float,
    settings: BlockSettings,
) -> _Forward:
    batch, inputs, _, length = x.shape
    taps = depthwise.reshape(inputs, -1).t().contiguous()
    matrix = pointwise.reshape(-1, inputs).t().contiguous()
    kernel, outputs = taps.shape[0], matrix.shape[1]
    stride, padding, dilation = settings.stride, settings.padding, settings.dilation
    length_out = (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    shape = _Shape(batch, length, length_out, inputs, outputs, kernel, stride, padding, dilation)
    residual = _Residual(address(x) if settings.has_sum else None, sum_step, settings.sum_low, settings.sum_high)
    z1, z2 = signal_tensor(batch, inputs, length_out), signal_tensor(batch, outputs, length_out)
    out = torch.empty_like(z2)
    at, threads, library = ctypes.byref, thread_count(), _library(shape)
    checked(library.separable_depthwise(at(shape), address(x), address(taps), address(z1), at(first), threads))
    matrices = address(z1), at(first), address(matrix), address(z2), at(second)
    checked(library.separable_pointwise(at(shape), *matrices, threads))
    library.separable_output(at(shape), address(z2), at(second), at(residual), address(out), threads)
    return _Forward(shape, residual, taps, matrix, z1, z2, out)


class _SeparableBlock(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        depthwise: Tensor,
        pointwise: Tensor,
        gamma1: Tensor,
        beta1: Tensor,
        gamma2: Tensor,
        beta2: Tensor,
        scale1: Tensor | None,
        scale2: Tensor | None,
        sum_scale: Tensor | None,
        settings: BlockSettings,
    ) -> Tensor:
        first, found1 = _numbers(settings.norms[0], gamma1, beta1, _step(scale1), settings.first_high)
        second, found2 = _numbers(settings.norms[1], gamma2, beta2, _step(scale2), settings.second_high)
        run = _run_forward(x, depthwise, pointwise, first, second, _step(sum_scale), settings)
        for norm in settings.norms:
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked += 1
        ctx.save_for_backward(x, run.taps, run.matrix, run.z1, run.z2, found1, found2)
        ctx.structures = run.shape, first, second, run.residual
        ctx.shapes = depthwise.shape, pointwise.shape
        ctx.scale_shapes = [None if scale is None else scale.shape for scale in (scale1, scale2, sum_scale)]
        return run.out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, taps, matrix, z1, z2, _found1, _found2 = ctx.saved_tensors
        shape, first, second, residual = ctx.structures
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        at, threads, library = ctypes.byref, thread_count(), _library(shape)
        (to1, of1), (to2, of2) = (_gradients(count) for count in matrix.shape)
        requantized = bool(residual.x) and residual.step > 0
        through = torch.empty_like(gradient) if requantized else gradient
        checked(
            library.separable_output_backward(
                at(shape), address(z2), address(gradient), at(second), at(residual), address(through), at(to2), threads
            )
        )
        to_matrix, passed = torch.empty_like(matrix), torch.empty_like(z1)
        checked(
            library.separable_pointwise_backward(
                at(shape),
                address(z2),
                address(through),
                at(second),
                at(to2),
                address(z1),
                at(first),
                address(matrix),
                address(to_matrix),
                address(passed),
                at(to1),
                threads,
            )
        )
        to_taps = torch.empty_like(taps)
        to_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        checked(
            library.separable_depthwise_backward(
                at(shape),
                address(x),
                address(z1),
                address(passed),
                at(first),
                at(to1),
                address(through) if residual.x else None,
                address(taps),
                None if to_x is None else address(to_x),
                address(to_taps),
                threads,
            )
        )
        steps = (of1.steps[0], of2.steps[0], of2.steps[1])
        to_scales = [
            None if shape is None else value.reshape(shape)
            for shape, value in zip(ctx.scale_shapes, steps, strict=True)
        ]
        to_depthwise = to_taps.t().reshape(ctx.shapes[0])
        to_pointwise = to_matrix.t().reshape(ctx.shapes[1])
        norms = (of1.values[0], of1.values[1], of2.values[0], of2.values[1])
        return to_x, to_depthwise, to_pointwise, *norms, *to_scales, None


@dataclass(frozen=True)
class _NormTensors:
    values: Tensor
    steps: Tensor


def _gradients(channels: int) -> tuple[_NormGradient, _NormTensors]:
    tensors = _NormTensors(torch.empty((4, channels)), torch.zeros(2))
    return _NormGradient(*(address(row) for row in (*tensors.values, *tensors.steps))), tensors


def separable_block(
    x: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    scales: tuple[Tensor | None, Tensor | None, Tensor | None],
    settings: BlockSettings,
) -> Tensor:
    """Compute a separable block in training mode; the running statistics of its normalizations move.

    Args:
        x: Signal (batch, inputs, 1, length).
        depthwise: Taps (inputs, 1, kernel).
        pointwise: Weights (outputs, inputs, 1).
        scales: Steps of the quantizers of both activations and of the sum; None for none.
        settings: The rest.

    Returns:
        Signal (batch, outputs, 1, length out).
    """
    first, second = settings.norms
    out: Tensor = _SeparableBlock.apply(
        x, depthwise, pointwise, first.weight, first.bias, second.weight, second.bias, *scales, settings
    )
    return out
