"""What a step of a compression left: accuracy and score, as ``path.json`` holds them, and how they are measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bacalhaunet.data.batches import Batch
from bacalhaunet.data.evaluation import evaluate_together
from bacalhaunet.errors import ModelFileError
from bacalhaunet.outputs import write_text

PATH_FILE = "path.json"


@dataclass(frozen=True)
class PathStep:
    """One step of a compression and what the network was after it.

    Attributes:
        name: Name of its folder.
        title: What was done, in words.
        accuracy: Share of validation frames classified correctly.
        validation_frames: Their number.
        score: The challenge's score.
        bit_ops: Bit operations of a frame.
        bit_mem: Bits of the weights that are not zero.
        density: Share of weights that are not zero.
        frames: Training frames of this step.
        kept: Whether the compression goes on from here; a step that lost too much accuracy is left.
        details: What the step chose, as plain values.
    """

    name: str
    title: str
    accuracy: float
    validation_frames: int
    score: float
    bit_ops: int
    bit_mem: int
    density: float
    frames: int = 0
    kept: bool = True
    details: dict[str, Any] = field(default_factory=dict)


def write_path(path: Path, steps: Sequence[PathStep], asked: dict[str, Any]) -> None:
    """Write the steps with what was asked for; all choices were made on validation frames."""
    content = {"asked": asked, "choices_made_on": "validation", "steps": [asdict(step) for step in steps]}
    write_text(path, json.dumps(content, indent=1))


def read_path(path: Path) -> list[PathStep]:
    """Return the steps of a ``path.json``.

    Raises:
        ModelFileError: If it cannot be read.
    """
    try:
        return [PathStep(**step) for step in json.loads(path.read_text(encoding="utf-8"))["steps"]]
    except (OSError, ValueError) as error:
        raise ModelFileError(f"the file cannot be read: {error}", where=str(path)) from error


def validation_accuracy(network: nn.Module, batches: Iterable[Batch], names: Sequence[str]) -> float:
    """Return the share of frames classified correctly, in evaluation mode; the network's mode stays as it was."""
    with _evaluating(network):
        return evaluate_together({"": lambda frames: network(frames).argmax(1)}, batches, names)[""].accuracy


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
