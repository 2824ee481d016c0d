"""The bits of each layer, lowered one at a time where it costs the least loss per score saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bacalhaunet.compression.bits import bit_knobs, cheapest_lowering, lowered_network, lowerings, with_knob
from bacalhaunet.compression.budget import network_cost
from bacalhaunet.compression.config import AllocationConfig
from bacalhaunet.compression.measure import drawn_frames, mean_loss
from bacalhaunet.data.batches import Batch
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.outputs import write_text

ALLOCATION_FILE = "allocation.json"


@dataclass(frozen=True)
class Allocation:
    """What a search for bits found.

    Attributes:
        spec: The network with the bits found.
        network: The network with its weights, not trained after.
        lowered: What was lowered in order: ``knob``, ``bits`` it has then, ``loss`` and ``score`` then.
    """

    spec: NetworkSpec
    network: nn.Module
    lowered: tuple[dict[str, Any], ...]


def allocate(
    network: nn.Module,
    spec: NetworkSpec,
    target: float,
    config: AllocationConfig,
    validation: Sequence[Batch],
    frames: Tensor,
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
) -> Allocation:
    """Lower bits one by one until the score is at most ``target``, going on where an earlier call stopped.

    At each turn every quantizer's loss with a bit less is measured, nothing trained, and the one with the least loss
    per score saved loses the bit for good. The end may lie a little below the target, or above it where no quantizer
    has a bit to lose.

    Args:
        network: A trained network; it is not changed.
        spec: Its specification.
        target: The score to reach.
        config: How.
        validation: Frames the losses are measured on.
        frames: float32 (batch, 2, length), to set quantizers on.
        folder: Gets ``allocation.json`` after each turn.
        say: Gets a line after each turn.
    """
    measured = drawn_frames(validation, config.frames)
    path, lowered = folder / ALLOCATION_FILE, []
    for turn in json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []:
        knob = next(knob for knob in bit_knobs(spec) if knob.name == turn["knob"])
        spec = with_knob(spec, knob, turn["bits"])
        network = lowered_network(spec, network, frames)
        lowered.append(turn)
    score = network_cost(network, spec).score
    loss = lowered[-1]["loss"] if lowered else mean_loss(network, measured)
    while score > target:
        found = lowerings(network, spec, measured, frames, config.least_bits)
        if not found:
            break
        best = cheapest_lowering(found, loss)
        network, spec, loss = lowered_network(best.spec, network, frames), best.spec, best.loss
        score = network_cost(network, spec).score
        lowered.append({"knob": best.knob.name, "bits": best.knob.bits - 1, "loss": loss, "score": score})
        write_text(path, json.dumps(lowered, indent=1))
        say(f"bits: {best.knob.name} to {best.knob.bits - 1}, loss {loss:.4f}, score {score:.5f}")
    return Allocation(spec, network, tuple(lowered))
