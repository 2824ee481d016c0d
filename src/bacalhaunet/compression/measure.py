"""What a network does on frames it was not trained on, and its running statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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


def drawn_frames(batches: Sequence[Batch], frames: int) -> list[Batch]:
    """Return batches of ``frames`` frames drawn from all of them, the same ones at every call, or all there are.

    Validation frames of a file lie modulation by modulation: the first of them would know some only.
    """
    count = sum(len(batch.labels) for batch in batches)
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[torch.randperm(count, generator=torch.Generator().manual_seed(0))[:frames]] = True
    parts = zip(batches, chosen.split([len(batch.labels) for batch in batches]), strict=True)
    return [batch.part(mask.to(batch.labels.device)) for batch, mask in parts if bool(mask.any())]


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
