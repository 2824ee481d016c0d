"""Bits per layer: lowered one at a time where a bit costs the least loss per score saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bacalhaunet.compression.budget import network_cost
from bacalhaunet.compression.config import AllocationConfig
from bacalhaunet.compression.path import drawn_frames, mean_loss
from bacalhaunet.cost.analytic import nonzero_weights, spec_cost
from bacalhaunet.data.batches import Batch
from bacalhaunet.models.layers import QuantConvolution, QuantDense, Quantizer
from bacalhaunet.models.network import build_network
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.models.states import fit_thresholds, transfer_state
from bacalhaunet.resume import once

QuantizerSite = tuple[str | int, ...]
"""Place of a number of bits in ``NetworkSpec.to_dict()``."""


@dataclass(frozen=True)
class Knob:
    """Numbers of bits that must be lowered together, because one quantizer serves two tensors.

    Attributes:
        paths: Their places in the specification.
        bits: What they are now.
    """

    paths: tuple[QuantizerSite, ...]
    bits: int

    @property
    def name(self) -> str:
        """Name it by its first place, as in ``blocks.2.depthwise_weight_bits``."""
        return ".".join(map(str, self.paths[0]))


@dataclass(frozen=True)
class Lowering:
    """What lowering one knob by a bit would do.

    Attributes:
        knob: The knob.
        spec: The specification with it lowered.
        saved: Score saved, above 0.
        loss: Mean loss of the network with it lowered, not trained after.
    """

    knob: Knob
    spec: NetworkSpec
    saved: float
    loss: float


def bit_knobs(spec: NetworkSpec) -> list[Knob]:
    """Return every number of bits of a network; those of a shared quantizer are one knob."""
    plain = spec.to_dict()
    places = list(_places(plain, ()))
    leader = {path: path for path in places}
    for index, (block, stream) in enumerate(zip(spec.blocks, spec.streams(), strict=False)):
        if index and block.shares_quantizer(stream):
            before, own = _output(spec, index - 1), ("blocks", index, "pointwise_activation_bits")
            found = leader[before]
            leader[own] = found
    groups: dict[QuantizerSite, list[QuantizerSite]] = {}
    for path in places:
        groups.setdefault(leader[path], []).append(path)
    return [Knob(tuple(paths), _value(plain, paths[0])) for paths in groups.values()]


def with_knob(spec: NetworkSpec, knob: Knob, bits: int) -> NetworkSpec:
    """Return ``spec`` with another number of bits at a knob.

    Raises:
        SpecError: If the number is not allowed.
    """
    plain = spec.to_dict()
    for path in knob.paths:
        place: Any = plain
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = bits
    return NetworkSpec.from_dict(plain)


def lowered_network(spec: NetworkSpec, other: nn.Module, frames: Tensor) -> nn.Module:
    """Build ``spec`` with the weights of a network of other bits; quantizers that have other bits are set anew.

    Args:
        spec: What to build.
        other: The network of other bits; it is not changed.
        frames: float32 (batch, 2, length), to set activation quantizers on.
    """
    with torch.random.fork_rng(devices=[]):
        network = build_network(spec)
    transfer_state(network, other.state_dict())
    _keep_weight_steps(network, other)
    known = {name: m.bits for name, m in other.named_modules() if isinstance(m, Quantizer)}
    changed = {n for n, m in network.named_modules() if isinstance(m, Quantizer) and known.get(n) != m.bits}
    if changed:
        fit_thresholds(network, frames, changed)
    return network.eval()


def _keep_weight_steps(network: nn.Module, other: nn.Module) -> None:
    """Take over the learned steps of weights that have the same bits in both networks."""
    layers = dict(other.named_modules())
    for name, layer in network.named_modules():
        if isinstance(layer, QuantConvolution | QuantDense) and isinstance(layers[name], type(layer)):
            own, known = layer.learned_threshold, layers[name].learned_threshold
            if own is not None and known is not None and layer.weight_bits == layers[name].weight_bits:
                with torch.no_grad():
                    own.copy_(known)


def lowerings(
    network: nn.Module, spec: NetworkSpec, validation: Sequence[Batch], frames: Tensor, least_bits: int
) -> list[Lowering]:
    """Measure what every knob above ``least_bits`` would do if it lost a bit.

    Args:
        network: The network; it is not changed.
        spec: Its specification.
        validation: Frames the loss is measured on.
        frames: float32 (batch, 2, length), to set quantizers on.
        least_bits: Fewest bits anywhere.
    """
    counts = nonzero_weights(network, spec)
    now, found = spec_cost(spec, counts).score, []
    for knob in bit_knobs(spec):
        if knob.bits <= least_bits:
            continue
        lower = with_knob(spec, knob, knob.bits - 1)
        saved = now - spec_cost(lower, counts).score
        if saved > 0:
            loss = mean_loss(lowered_network(lower, network, frames), validation)
            found.append(Lowering(knob, lower, saved, loss))
    return found


def cheapest_lowering(found: Sequence[Lowering], loss: float) -> Lowering:
    """Return the lowering with the least loss added per score saved; of those that add none, the one that saves most.

    Args:
        found: What could be done, something at least.
        loss: The loss now.
    """
    return min(found, key=lambda one: (max(0.0, one.loss - loss) / one.saved, -one.saved))


def _places(values: Any, path: QuantizerSite) -> list[QuantizerSite]:
    if isinstance(values, dict):
        return [place for key, value in values.items() for place in _places(value, (*path, key))]
    if isinstance(values, list | tuple):
        return [place for index, value in enumerate(values) for place in _places(value, (*path, index))]
    is_bits = isinstance(values, int) and str(path[-1]).split("_")[-1] == "bits"
    return [path] if is_bits else []


def _output(spec: NetworkSpec, index: int) -> QuantizerSite:
    """Return the place of the bits of a block's output."""
    block, stream = spec.blocks[index], spec.streams()[index]
    has_sum = getattr(block, "has_sum", None)
    if has_sum is not None and has_sum(stream):
        return ("blocks", index, "sum_bits")
    name = "pointwise_activation_bits" if hasattr(block, "pointwise_activation_bits") else "activation_bits"
    return ("blocks", index, name)


def _value(plain: Any, path: QuantizerSite) -> int:
    for step in path:
        plain = plain[step]
    return int(plain)


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
        folder: Gets a file for each turn.
        say: Gets a line after each turn.
    """
    measured = drawn_frames(validation, config.frames)
    lowered: list[dict[str, Any]] = []
    while network_cost(network, spec).score > target:
        turn = once(
            folder / f"turn-{len(lowered) + 1}.json",
            partial(_turn, network, spec, config, measured, frames, lowered[-1]["loss"] if lowered else None),
        )
        if turn is None:
            break
        knob = next(knob for knob in bit_knobs(spec) if knob.name == turn["knob"])
        spec = with_knob(spec, knob, turn["bits"])
        network = lowered_network(spec, network, frames)
        lowered.append({**turn, "score": network_cost(network, spec).score})
        say("bits: {knob} to {bits}, loss {loss:.4f}, score {score:.5f}".format(**lowered[-1]))
    return Allocation(spec, network, tuple(lowered))


def _turn(
    network: nn.Module,
    spec: NetworkSpec,
    config: AllocationConfig,
    measured: Sequence[Batch],
    frames: Tensor,
    loss: float | None,
) -> dict[str, Any] | None:
    """Choose the knob that loses a bit; None if none has one to lose."""
    found = lowerings(network, spec, measured, frames, config.least_bits)
    if not found:
        return None
    best = cheapest_lowering(found, mean_loss(network, measured) if loss is None else loss)
    return {"knob": best.knob.name, "bits": best.knob.bits - 1, "loss": best.loss}
