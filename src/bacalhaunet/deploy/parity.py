"""Whether an exported network computes what the trained one computes, and if not, where and why.

A quantizer turns the rounding error of a sum, about 1e-7, into a whole step where a value lies half-way between two
levels. Two exact implementations therefore differ on rare frames. Such a frame is followed to the first quantizer at
which the two part; it is accepted only if every value that differs there lies on a rounding boundary in both and
differs by one step. Anything else is an error. No difference is accepted because it is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.deploy.parity_ties import first_difference, onnx_outputs, onnx_quantizers, torch_quantizers
from bacalhaunet.errors import ParityError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto
    from torch import nn

RELATIVE = 2e-5
"""Largest difference of logits between two float32 implementations without a tie, relative to the largest logit."""


@dataclass(frozen=True)
class Parity:
    """The outcome of a comparison.

    Attributes:
        frames: Frames compared.
        same_class: Frames of which both name the same class.
        max_difference: Largest difference of a logit over the frames without a tie.
        ties: Frames that differ by a tie, each with the quantizer it happened at.
    """

    frames: int
    same_class: int
    max_difference: float
    ties: tuple[str, ...]


def probe_frames(length: int, count: int = 24, seed: int = 2018) -> NDArray[np.float32]:
    """Return test inputs, float32 (count, 2, length): noise from quiet to far beyond clipping, tones and symbols."""
    rng = np.random.default_rng(seed)
    level = np.geomspace(0.05, 4.0, count).astype(np.float32)[:, None, None]
    noise = rng.standard_normal((count, 2, length))
    phase = 2 * np.pi * (rng.uniform(0, 0.5, (count, 1)) * np.arange(length) + rng.uniform(0, 1, (count, 1)))
    tone = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    symbols = np.repeat(rng.choice([-1.0, 1.0], (count, 2, -(-length // 8))), 8, axis=2)[:, :, :length]
    kind = np.arange(count)[:, None, None] % 3
    signal = np.where(kind == 0, noise, np.where(kind == 1, tone + 0.1 * noise, symbols + 0.1 * noise))
    return np.asarray(level * signal, np.float32)


def check_parity(network: nn.Module, model: ModelProto, frames: NDArray[np.float32], where: str) -> Parity:
    """Compare a network in torch with its export in onnxruntime.

    Args:
        network: The network as trained; it is evaluated in evaluation mode and left in the mode it was in.
        model: Its export, QONNX, QCDQ or float, of any batch.
        frames: float32 (n, 2, length).
        where: The file, for messages.

    Raises:
        ParityError: If a frame differs for another reason than a tie.
    """
    expected = torch_logits(network, frames)
    found = onnx_outputs(model, frames, ())[0]
    if expected.shape != found.shape:
        raise ParityError(f"the export gives {found.shape[1:]} logits, the network {expected.shape[1:]}", where=where)
    difference = np.abs(expected - found).max(axis=1)
    bound = RELATIVE * np.maximum(np.abs(expected).max(axis=1), 1e-3)
    ties = []
    for index in np.flatnonzero(~(difference <= bound)):
        frame = frames[index : index + 1]
        reason = first_difference(torch_quantizers(network, frame), onnx_quantizers(model, frame))
        if not reason.is_tie:
            raise ParityError(
                f"the export differs from torch by {difference[index]:.3g} in a logit of frame {index}: {reason.text}",
                where=where,
                allowed=f"{bound[index]:.2g}, or a value on a rounding boundary of a quantizer",
                action="export with the versions of constraints.txt; if it stays, report the network's spec",
            )
        ties.append(f"frame {index}: {reason.text}")
    plain = difference[difference <= bound]
    same = int((expected.argmax(axis=1) == found.argmax(axis=1)).sum())
    return Parity(len(frames), same, float(plain.max(initial=0.0)), tuple(ties))


def torch_logits(network: nn.Module, frames: NDArray[np.float32], batch: int = 32) -> NDArray[np.float32]:
    """Return a network's logits, float32 (n, classes), computed in evaluation mode."""
    import torch

    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            parts = [network(torch.from_numpy(frames[k : k + batch])) for k in range(0, len(frames), batch)]
    finally:
        network.train(training)
    return np.asarray(torch.cat(parts).numpy(), np.float32)
