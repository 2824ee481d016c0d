"""Training in several processes, started by torchrun: each takes its share of every batch, and all compute one step.

Batch normalization uses the mean and variance of the whole batch, so that the losses are those of one process with
the same batch, up to the order in which floats are added.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.data.batches import Batch, BatchSource, FrameBatches, GeneratedBatches, read_batch
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.layers import Activation, BatchNorm


@dataclass(frozen=True)
class Share:
    """One process among those that train together.

    Attributes:
        rank: Number of this process, from 0.
        processes: How many there are.
        on_this_machine: How many of them run on this machine.
    """

    rank: int = 0
    processes: int = 1
    on_this_machine: int = 1

    def rows(self, batch_size: int) -> slice:
        """Return this process's rows of a batch.

        Raises:
            ConfigError: If a batch cannot be shared equally.
        """
        if batch_size % self.processes:
            raise ConfigError(
                f"a batch of {batch_size} frames for {self.processes} processes",
                allowed="a batch size that the number of processes divides",
                action="change --batch_size or torchrun's --nproc-per-node",
            )
        size = batch_size // self.processes
        return slice(self.rank * size, (self.rank + 1) * size)


def own_share() -> Share:
    """Return this process's share from the variables torchrun sets; one process without torchrun."""
    values = os.environ
    processes = int(values.get("WORLD_SIZE", 1))
    return Share(int(values.get("RANK", 0)), processes, int(values.get("LOCAL_WORLD_SIZE", processes)))


class ShareOfBatches:
    """The rows of every batch that one process trains on. Only those are made or read.

    Args:
        source: Whole batches.
        batch_size: Frames of a whole batch.
        share: The process.
    """

    def __init__(self, source: BatchSource, batch_size: int, share: Share) -> None:
        self.source, self.share, self.rows = source, share, share.rows(batch_size)
        self._smaller = source.split(share.processes) if isinstance(source, GeneratedBatches) else None

    def batch(self, number: int) -> Batch:
        """Return this process's rows of batch ``number``."""
        source, share = self.source, self.share
        if self._smaller is not None:
            return self._smaller.batch(number * share.processes + share.rank)
        if isinstance(source, FrameBatches):
            return read_batch(source.frames, source.contents(number)[self.rows])
        return source.batch(number).part(self.rows)


class _SharedBatchNorm(BatchNorm):
    """Batch normalization by the mean and variance of all processes' rows together."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalize."""
        if not self.training:
            out: Tensor = super().forward(values)
            return out
        axes = [axis for axis in range(values.dim()) if axis != 1]
        count = values.numel() / values.shape[1] * torch.distributed.get_world_size()
        mean = _sum_over_processes(values.sum(axes)) / count
        shape = [1, -1] + [1] * (values.dim() - 2)
        centred = values - mean.view(shape)
        variance = _sum_over_processes(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * count / max(count - 1, 1))
        normal = centred * torch.rsqrt(variance + self.eps).view(shape)
        return normal * self.weight.view(shape) + self.bias.view(shape)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; every process's loss depends on every process's summand."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        total = values.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        torch.distributed.all_reduce(total)
        return total


def _sum_over_processes(values: Tensor) -> Tensor:
    out: Tensor = _Sum.apply(values)
    return out


@contextmanager
def shared_statistics(network: nn.Module, share: Share) -> Iterator[None]:
    """Let the batch normalizations of ``network`` share their statistics while the block runs.

    torch's own SyncBatchNorm runs on GPUs only. With one process nothing changes. The kernels that normalize and
    activate in one pass know one process's rows only, so they are left out.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]
    activations = [module for module in network.modules() if isinstance(module, Activation)]
    if share.processes == 1:
        yield
        return
    kinds = [type(module) for module in norms]
    plain = [module.plain for module in activations]
    try:
        for norm in norms:
            norm.__class__ = _SharedBatchNorm
        for activation in activations:
            activation.plain = True
        yield
    finally:
        for norm, kind in zip(norms, kinds, strict=True):
            norm.__class__ = kind
        for activation, before in zip(activations, plain, strict=True):
            activation.plain = before
