"""The kernels as differentiable torch functions.

Each takes and gives float32 tensors (batch, channels, 1, length) in channels-last memory, whose storage is
(batch, length, channels). What they compute is what torch and ``models.fake_quant`` compute, rounding errors aside.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.models.fake_quant import running_line, update_running
from bacalhaunet.models.native.build import kernels

MAX_CHANNELS = 4096
"""Channels the kernels have room for."""


class _DepthwiseShape(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int)
        for name in ("batch", "length_in", "length_out", "channels", "kernel", "stride", "padding", "dilation")
    )


def applies_to(signal: Tensor) -> bool:
    """Say whether the kernels can take ``signal`` as it lies in memory."""
    return (
        signal.dim() == 4
        and signal.dtype == torch.float32
        and signal.device.type == "cpu"
        and signal.shape[1] <= MAX_CHANNELS
        and signal.shape[2] == 1
        and signal.is_contiguous(memory_format=torch.channels_last)
        and torch._C._get_tracing_state() is None
        and not torch.is_autocast_enabled("cpu")
        and kernels() is not None
    )


def library() -> ctypes.CDLL:
    library = kernels()
    assert library is not None
    return library


def address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def thread_count() -> ctypes.c_int:
    return ctypes.c_int(torch.get_num_threads())


def signal_tensor(batch: int, channels: int, length: int) -> Tensor:
    return torch.empty((batch, channels, 1, length), memory_format=torch.channels_last)


def _laid_out(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


def checked(status: int) -> None:
    if status:
        raise MemoryError("no memory for the partial sums of a training kernel")


class _Depthwise(torch.autograd.Function):
    """``y[b, c, l] = sum_k w[c, k] x[b, c, l stride + k dilation - padding]``."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
        batch, channels, _, length = signal.shape
        taps = weight.reshape(channels, -1).t().contiguous()
        kernel = taps.shape[0]
        length_out = (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        shape = _DepthwiseShape(batch, length, length_out, channels, kernel, stride, padding, dilation)
        out = signal_tensor(batch, channels, length_out)
        library().depthwise_forward(ctypes.byref(shape), address(signal), address(taps), address(out), thread_count())
        ctx.save_for_backward(signal, taps)
        ctx.shape, ctx.weight_shape = shape, weight.shape
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        signal, taps = ctx.saved_tensors
        gradient, shape = _laid_out(gradient), ctypes.byref(ctx.shape)
        to_signal = to_weight = None
        if ctx.needs_input_grad[0]:
            to_signal = torch.empty_like(signal)
            library().depthwise_backward_input(
                shape, address(gradient), address(taps), address(to_signal), thread_count()
            )
        if ctx.needs_input_grad[1]:
            to_taps = torch.empty_like(taps)
            checked(
                library().depthwise_backward_weight(
                    shape, address(signal), address(gradient), address(to_taps), thread_count()
                )
            )
            to_weight = to_taps.t().reshape(ctx.weight_shape)
        return to_signal, to_weight, None, None, None


class _Pointwise(torch.autograd.Function):
    """``y[b, o, l] = sum_i w[o, i] x[b, i, l]``."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, weight: Tensor) -> Tensor:
        batch, inputs, _, length = signal.shape
        matrix = weight.reshape(-1, inputs)
        outputs = matrix.shape[0]
        out = signal_tensor(batch, outputs, length)
        turned = matrix.t().contiguous()
        _product(signal, turned, out, batch * length)
        ctx.save_for_backward(signal, matrix)
        ctx.weight_shape = weight.shape
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        signal, matrix = ctx.saved_tensors
        gradient = _laid_out(gradient)
        batch, inputs, _, length = signal.shape
        outputs = matrix.shape[0]
        to_signal = to_weight = None
        if ctx.needs_input_grad[0]:
            to_signal = torch.empty_like(signal)
            _product(gradient, matrix.contiguous(), to_signal, batch * length)
        if ctx.needs_input_grad[1]:
            turned = torch.empty((inputs, outputs))
            rows = ctypes.c_int64(batch * length)
            checked(
                library().outer(
                    address(signal), address(gradient), address(turned), rows, inputs, outputs, thread_count()
                )
            )
            to_weight = turned.t().reshape(ctx.weight_shape)
        return to_signal, to_weight


def _product(signal: Tensor, matrix: Tensor, out: Tensor, rows: int) -> None:
    inputs, outputs = matrix.shape
    library().product(
        address(signal), address(matrix), address(out), ctypes.c_int64(rows), inputs, outputs, thread_count()
    )


class _NormActivation(torch.autograd.Function):
    """``y = s clip(round(relu(gamma (z - mean) / deviation + beta) / s), 0, high)`` with statistics of the batch."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, norm: Any, gamma: Tensor, beta: Tensor, scale: Any, high: int) -> Tensor:
        batch, channels, _, length = signal.shape
        rows = batch * length
        moments = torch.empty((2, channels), dtype=torch.float64)
        checked(
            library().statistics(
                address(signal),
                address(moments[0]),
                address(moments[1]),
                ctypes.c_int64(rows),
                channels,
                thread_count(),
            )
        )
        mean, variance = moments[0].float(), (moments[1] / rows).float()
        update_running(norm, mean, (moments[1] / max(rows - 1, 1)).float())
        inverse = torch.rsqrt(variance + norm.eps)
        slope = (gamma.detach() * inverse).contiguous()
        shift = (beta.detach() - mean * slope).contiguous()
        out = torch.empty_like(signal)
        ctx.step = 0.0 if scale is None else float(scale.detach())
        ctx.rows, ctx.high, ctx.scale_shape = rows, high, None if scale is None else scale.shape
        library().activate(
            address(signal),
            address(slope),
            address(shift),
            address(out),
            ctypes.c_int64(rows),
            channels,
            ctypes.c_float(ctx.step),
            ctypes.c_float(high),
            thread_count(),
        )
        ctx.save_for_backward(signal, slope, shift, mean.contiguous(), inverse.contiguous())
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor, Tensor, Tensor | None, None]:
        signal, slope, shift, mean, inverse = ctx.saved_tensors
        gradient = _laid_out(gradient)
        channels, rows = signal.shape[1], ctypes.c_int64(ctx.rows)
        step, high = ctypes.c_float(ctx.step), ctypes.c_float(ctx.high)
        sums, to_step = torch.empty((2, channels), dtype=torch.float64), ctypes.c_double()
        fixed = (address(signal), address(gradient), address(slope), address(shift), address(mean), address(inverse))
        checked(
            library().activate_backward_sums(
                *fixed, address(sums), ctypes.byref(to_step), rows, channels, step, high, thread_count()
            )
        )
        means, out = (sums / ctx.rows).float(), torch.empty_like(signal)
        library().activate_backward(
            *fixed, address(means[0]), address(means[1]), address(out), rows, channels, step, high, thread_count()
        )
        to_scale = None if ctx.scale_shape is None else torch.full(ctx.scale_shape, to_step.value)
        return out, None, sums[1].float(), sums[0].float(), to_scale, None


class _Quantize(torch.autograd.Function):
    """``y = s clip(round(x / s), low, high)``; see ``models.fake_quant``."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
        out = torch.empty_like(values)
        ctx.numbers = [ctypes.c_float(value) for value in (float(scale.detach()), low, high)]
        library().quantize(address(values), address(out), ctypes.c_int64(values.numel()), *ctx.numbers, thread_count())
        ctx.save_for_backward(values)
        ctx.scale_shape = scale.shape
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (values,) = ctx.saved_tensors
        gradient, out = _laid_out(gradient), torch.empty_like(values)
        to_scale = library().quantize_backward(
            address(values),
            address(gradient),
            address(out),
            ctypes.c_int64(values.numel()),
            *ctx.numbers,
            thread_count(),
        )
        return out, torch.full(ctx.scale_shape, to_scale), None, None


def depthwise(signal: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
    """Convolve each channel with its own taps, weight (channels, 1, kernel)."""
    out: Tensor = _Depthwise.apply(signal, weight, stride, padding, dilation)
    return out


def pointwise(signal: Tensor, weight: Tensor) -> Tensor:
    """Mix the channels of each step, weight (out, in, 1)."""
    out: Tensor = _Pointwise.apply(signal, weight)
    return out


def norm_activation(signal: Tensor, norm: nn.BatchNorm1d, scale: Tensor | None, high: int) -> Tensor:
    """Normalize with the batch's statistics, which move the running ones; ReLU; quantize to levels up to ``high``."""
    out: Tensor = _NormActivation.apply(signal, norm, norm.weight, norm.bias, scale, high)
    return out


def known_norm_activation(signal: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Normalize with the running statistics, ReLU; without a gradient."""
    slope, shift = (numbers.contiguous() for numbers in running_line(norm))
    batch, channels, _, length = signal.shape
    out, rows, none = torch.empty_like(signal), ctypes.c_int64(batch * length), ctypes.c_float(0)
    given = (address(signal), address(slope), address(shift), address(out))
    library().activate(*given, rows, channels, none, none, thread_count())
    return out


def quantize(values: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    """Quantize a signal to levels from ``low`` to ``high``."""
    out: Tensor = _Quantize.apply(values, scale, low, high)
    return out


class _Largest(torch.autograd.Function):
    """``y[b, c] = max_l x[b, c, l]``."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor) -> Tensor:
        batch, channels, _, length = signal.shape
        out, at = torch.empty((batch, channels, 1, 1)), torch.empty((batch, channels), dtype=torch.int32)
        library().largest(
            address(signal), address(out), address(at), ctypes.c_int64(batch), length, channels, thread_count()
        )
        ctx.save_for_backward(at)
        ctx.length = length
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (at,) = ctx.saved_tensors
        batch, channels = at.shape
        gradient, out = gradient.contiguous(), signal_tensor(batch, channels, ctx.length)
        library().largest_backward(
            address(gradient), address(at), address(out), ctypes.c_int64(batch), ctx.length, channels, thread_count()
        )
        return out


def largest(signal: Tensor) -> Tensor:
    """Return the maximum over time, (batch, channels, 1, 1); its gradient goes to the first step that has it."""
    out: Tensor = _Largest.apply(signal)
    return out
