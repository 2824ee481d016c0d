"""Layers as differentiable functions of signals on a GPU, and whole networks as CUDA graphs, started as one piece.

What they compute is what torch and ``models.fake_quant`` compute, rounding errors aside; ``models.gpu.passes`` says how
signals lie. The networks here are so small that a GPU computes their layers faster than Python can ask for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.models import fake_quant
from bacalhaunet.models.fake_quant import running_line, update_running
from bacalhaunet.models.gpu import passes
from bacalhaunet.models.gpu.passes import as_signal, by_channel, groups

_GROUPS = 128
"""Products that the gradient of a pointwise layer's weights is divided into."""


class _Pointwise(torch.autograd.Function):
    """``y[b, o, l] = sum_i w[o, i] x[b, i, l]``."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, weight: Tensor) -> Tensor:
        channels, matrix = by_channel(signal), weight.flatten(1)
        ctx.save_for_backward(channels, matrix)
        ctx.weight_shape = weight.shape
        out = (matrix @ channels.flatten(1)).view(len(matrix), *channels.shape[1:])
        return as_signal(out)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        channels, matrix = ctx.saved_tensors
        rows = by_channel(gradient).flatten(1)
        to_signal = to_weight = None
        if ctx.needs_input_grad[0]:
            to_signal = as_signal((matrix.t() @ rows).view(channels.shape))
        if ctx.needs_input_grad[1]:
            count = groups(rows.shape[1], _GROUPS)
            left = rows.view(len(rows), count, -1).transpose(0, 1)
            right = channels.view(len(channels), count, -1).permute(1, 2, 0)
            to_weight = torch.bmm(left, right).sum(0).view(ctx.weight_shape)
        return to_signal, to_weight


class _NormActivation(torch.autograd.Function):
    """``y = s clip(round(relu(gamma (z - mean) / deviation + beta) / s), 0, high)`` with statistics of the batch."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, norm: Any, gamma: Tensor, beta: Tensor, step: Any, high: int) -> Tensor:
        channels = by_channel(signal)
        if step is None:
            out, mean, variance = passes.run(passes.activate, channels, gamma, beta, norm.eps)
        else:
            given = (channels, gamma, beta, norm.eps, step, high)
            out, mean, variance = passes.run(passes.activate_to_levels, *given)
        count = channels[0].numel()
        update_running(norm, mean, variance * (count / max(count - 1, 1)))
        kept = (channels, gamma, beta, mean, variance)
        ctx.save_for_backward(*kept, *(() if step is None else (step,)))
        ctx.epsilon, ctx.high = norm.eps, high
        return as_signal(out)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        channels, gamma, beta, mean, variance, *steps = ctx.saved_tensors
        given = (channels, by_channel(gradient), gamma, beta, ctx.epsilon, mean, variance)
        to_step = None
        if steps:
            found = passes.run(passes.activate_to_levels_backward, *given, steps[0], ctx.high)
            out, to_gamma, to_beta, to_step = found
            to_step = to_step.reshape(steps[0].shape)
        else:
            out, to_gamma, to_beta = passes.run(passes.activate_backward, *given)
        return as_signal(out), None, to_gamma, to_beta, to_step, None


def pointwise(signal: Tensor, weight: Tensor) -> Tensor:
    """Mix the channels of each step, weight (out, in, 1)."""
    out: Tensor = _Pointwise.apply(signal, weight)
    return out


def norm_activation(signal: Tensor, norm: nn.BatchNorm1d, step: Tensor | None, high: int) -> Tensor:
    """Normalize with the batch's statistics, which move the running ones; ReLU; quantize to levels up to ``high``."""
    out: Tensor = _NormActivation.apply(signal, norm, norm.weight, norm.bias, step, high)
    return out


def known_norm_activation(signal: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Normalize with the running statistics, ReLU; without a gradient."""
    return as_signal(passes.run(passes.known_activate, by_channel(signal), *running_line(norm)))


def quantize(signal: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """Quantize a signal to levels from ``low`` to ``high``."""
    return as_signal(fake_quant.quantize(by_channel(signal), step, low, high))


_WARM_UP = 3


@contextmanager
def trained_as_one_graph(network: nn.Module, frames: Tensor) -> Iterator[None]:
    """Within, ``network`` in training mode computes batches like ``frames``, and their gradients, as two graphs.

    The network is taken to the device of the frames; its weights and statistics are what they were. In evaluation mode
    it computes batches of any size, as ever.

    Args:
        network: A network in training mode, without hooks.
        frames: float32 (batch, 2, length) on a GPU.
    """
    network.train().to(frames.device)
    # Recording runs the network a few times, which moves the running statistics.
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    torch.cuda.make_graphed_callables(network, (frames,), num_warmup_iters=_WARM_UP, allow_unused_input=True)
    for name, buffer in network.named_buffers():
        buffer.copy_(before[name])
    try:
        yield
    finally:
        network.__dict__.pop("forward", None)  # what was recorded stands in front of the class's method


class Replayed:
    """A network in evaluation mode, without gradients, as one graph.

    Args:
        network: The network, on the device of the frames.
        frames: float32 (batch, 2, length) on a GPU: all batches have this shape.
    """

    def __init__(self, network: nn.Module, frames: Tensor) -> None:
        self._frames = frames.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                network(self._frames)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self._graph):
            self._logits: Tensor = network(self._frames)

    def takes(self, frames: Tensor) -> bool:
        """Say whether a batch has the shape that was recorded."""
        return frames.shape == self._frames.shape

    def __call__(self, frames: Tensor) -> Tensor:
        """Return logits (batch, classes)."""
        self._frames.copy_(frames)
        self._graph.replay()
        return self._logits.clone()
