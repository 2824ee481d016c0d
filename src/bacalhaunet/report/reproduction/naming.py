"""Which frames a network names rightly, computed the fastest way there is for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.evaluation import predict
from bacalhaunet.data.batches import Batch
from bacalhaunet.errors import BacalhauNetError
from bacalhaunet.models.saved import load_model

Judge = Callable[[Batch], Tensor]
"""Whether each frame of a batch is named rightly: bool (batch,), on the CPU."""

CHUNK = 128
"""Frames of one forward pass of torch on a CPU; the layers of more leave its cache."""


def judge_of(model: Path) -> Judge:
    """Return the judge of a saved model: the native engine for one with an integer form, torch for others.

    The two name the same class but for rounding ties. A GPU runs all of them in torch.
    """
    saved = load_model(model)
    if not torch.cuda.is_available() and not saved.spec.is_float:
        try:
            engine = open_engine(model, "native")
        except BacalhauNetError:  # a float sum, a gate, no kernels: torch can
            return partial(judged, ready(saved.network))
        return lambda batch: torch.from_numpy(predict(engine, batch.frames.numpy())) == batch.labels
    return partial(judged, ready(saved.network))


def accuracy_on(network: nn.Module, batches: Sequence[Batch]) -> float:
    """Return the share of frames a network names rightly."""
    network = ready(network)
    counts = [int(judged(network, batch).sum()) for batch in batches]
    return sum(counts) / sum(len(batch.labels) for batch in batches)


def ready(network: nn.Module) -> nn.Module:
    """Return a network in evaluation mode, on the GPU if there is one."""
    return network.to("cuda" if torch.cuda.is_available() else "cpu").eval()


@torch.no_grad()
def judged(network: nn.Module, batch: Batch) -> Tensor:
    """Return which frames a network in torch names rightly."""
    device = next(network.parameters()).device
    parts = torch.split(batch.frames.to(device), CHUNK if device.type == "cpu" else len(batch.frames))
    found: Tensor = torch.cat([network(part).argmax(dim=1) for part in parts]) == batch.labels.to(device)
    return found.cpu()
