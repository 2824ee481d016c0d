"""What a network does on frames it was not trained on, and its running statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from bacalhaunet.data.batches import Batch


def validation_accuracy(network: nn.Module, batches: Iterable[Batch]) -> float:
    """Return the share of frames named rightly, in evaluation mode; the network's mode stays as it was."""
    right = frames = 0
    with _evaluating(network):
        for batch in batches:
            right += int((network(batch.frames).argmax(1) == batch.labels).sum())
            frames += len(batch.labels)
    return right / frames


def mean_loss(network: nn.Module, batches: Iterable[Batch]) -> float:
    """Return the mean cross entropy over all frames, in evaluation mode."""
    total, frames = 0.0, 0
    with _evaluating(network):
        for batch in batches:
            total += float(nn.functional.cross_entropy(network(batch.frames), batch.labels, reduction="sum"))
            frames += len(batch.labels)
    return total / frames


def first_batches(batches: Iterable[Batch], frames: int) -> list[Batch]:
    """Return batches with the first ``frames`` frames, or all there are."""
    found: list[Batch] = []
    for batch in batches:
        left = frames - sum(len(b.labels) for b in found)
        if left <= 0:
            break
        found.append(batch.part(slice(left)))
    return found


def estimate_norms(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Set the running statistics of every BatchNorm to their mean over ``batches``, weights as they are.

    After a training whose last steps moved weights across rounding boundaries, the running averages lag behind.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]
    before, mode = [norm.momentum for norm in norms], network.training
    network.train()
    try:
        with torch.no_grad():
            for number, batch in enumerate(batches, 1):
                for norm in norms:
                    norm.momentum = 1 / number  # the mean of all so far
                network(batch.frames.to(_device(network)))
    finally:
        network.train(mode)
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


def _device(network: nn.Module) -> torch.device:
    """Return where the network's weights are: frames may be made elsewhere."""
    return next(network.parameters()).device


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    mode = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(mode)
