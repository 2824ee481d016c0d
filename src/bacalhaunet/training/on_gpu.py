"""What makes a training that is alone on a GPU fast: its network and its teacher as CUDA graphs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from bacalhaunet.models.gpu.graphs import trained_as_one_graph
from bacalhaunet.training.batches import ResumableBatches
from bacalhaunet.training.task import Loss


@contextmanager
def recorded(network: nn.Module, loss: Loss, batches: ResumableBatches, classes: int, device: str) -> Iterator[None]:
    """Within, a network in training mode computes the batches of a run as graphs, and its teacher does.

    Args:
        network: The network; it is taken to the device.
        loss: May ask a teacher, which is recorded before the threads that make frames start.
        batches: All of one size.
        classes: Number of classes.
        device: A GPU.
    """
    first = batches.source.batch(batches.next_number).to(torch.device(device))
    before = torch.get_float32_matmul_precision()
    # Products of 10 bits of mantissa, summed in float32: the levels of quantized signals have no more than 8.
    torch.set_float32_matmul_precision("high")
    try:
        with trained_as_one_graph(network, first.frames):
            loss(torch.zeros(len(first.labels), classes, device=device), first)
            yield
    finally:
        torch.set_float32_matmul_precision(before)
