"""A point of the search space, and the network it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bacalhaunet.cost.analytic import spec_cost
from bacalhaunet.models.blocks import SeparableBlock
from bacalhaunet.models.layer_info import Stream
from bacalhaunet.models.spec import HeadSpec, InputSpec, NetworkSpec
from bacalhaunet.search.space import Range, SearchSpace


class Chooser(Protocol):
    """What chooses values by name: an Optuna trial, or a test."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """Choose an integer from ``low`` to ``high`` in steps of ``step``."""

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """Choose a number from ``low`` to ``high``."""


@dataclass(frozen=True)
class Candidate:
    """A network and how far it is pruned.

    Attributes:
        spec: The network.
        prune_share: Share of all weights set to zero after training, 0 to below 1.
    """

    spec: NetworkSpec
    prune_share: float

    def expected_score(self) -> float:
        """Return the score if the same share of every layer is pruned; it is known before training."""
        kept = {layer.name: round((1 - self.prune_share) * layer.weights) for layer in self.spec.layers()}
        return spec_cost(self.spec, kept).score


def choose_candidate(chooser: Chooser, space: SearchSpace, classes: int, frame_length: int = 1024) -> Candidate:
    """Choose a candidate value by value; whatever the chooser answers, the network can be built.

    Args:
        chooser: Chooses each value within the range it is given.
        space: The ranges.
        classes: Classes of the data.
        frame_length: Samples of a frame.
    """
    source = InputSpec(bits=_integer(chooser, "input.bits", space.input_bits))
    stream = Stream(source.channels, frame_length, source.bits, signed=True)
    blocks = []
    for index in range(_integer(chooser, "blocks", space.blocks)):
        block = _block(chooser, f"block.{index}", space, stream)
        blocks.append(block)
        stream = block.out(stream)
    head = HeadSpec(weight_bits=_integer(chooser, "head.weight_bits", space.weight_bits))
    share = chooser.suggest_float("prune.share", space.prune_share.low, space.prune_share.high)
    spec = NetworkSpec(blocks=tuple(blocks), input=source, head=head, classes=classes, frame_length=frame_length)
    return Candidate(spec, share)


def _block(chooser: Chooser, name: str, space: SearchSpace, stream: Stream) -> SeparableBlock:
    def choose(field: str, choices: Range) -> int:
        return _integer(chooser, f"{name}.{field}", choices)

    kernel, stride, channels = (choose(f, getattr(space, f)) for f in ("kernel", "stride", "channels"))
    summed = SeparableBlock(kernel=kernel, channels=channels, stride=stride).has_sum(stream)
    shared = space.shared_sums and summed and not stream.signed and stream.bits is not None
    last_bits = stream.bits if shared else choose("pointwise_activation_bits", space.activation_bits)
    return SeparableBlock(
        kernel=kernel,
        channels=channels,
        stride=stride,
        dilation=choose("dilation", space.dilation),
        depth_multiplier=choose("depth_multiplier", space.depth_multiplier),
        depthwise_weight_bits=choose("depthwise_weight_bits", space.weight_bits),
        depthwise_activation_bits=choose("depthwise_activation_bits", space.activation_bits),
        pointwise_weight_bits=choose("pointwise_weight_bits", space.weight_bits),
        pointwise_activation_bits=last_bits,
        sum_bits=choose("sum_bits", space.activation_bits) if summed else None,
        shared_sum_quantizer=shared,
    )


def _integer(chooser: Chooser, name: str, choices: Range) -> int:
    return chooser.suggest_int(name, choices.low, choices.high, step=choices.step)


def values_of(candidate: Candidate, space: SearchSpace) -> dict[str, int | float] | None:
    """Return the values that choose ``candidate``; None if it lies outside ``space``."""
    recall = _Recall(candidate)
    spec = candidate.spec
    try:
        chosen = choose_candidate(recall, space, spec.classes, spec.frame_length)
    except LookupError:
        return None
    return recall.values if chosen == candidate else None


class _Recall:
    """A chooser that answers with the values of a known candidate; LookupError where they are not allowed."""

    def __init__(self, candidate: Candidate) -> None:
        spec = candidate.spec
        self.values: dict[str, int | float] = {}
        self.known: dict[str, object] = {
            "input.bits": spec.input.bits,
            "blocks": len(spec.blocks),
            "head.weight_bits": spec.head.weight_bits,
            "prune.share": candidate.prune_share,
        }
        for index, block in enumerate(spec.blocks):
            self.known |= {f"block.{index}.{field}": getattr(block, field) for field in block.__dataclass_fields__}

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        value = self.known[name]
        if not isinstance(value, int) or value not in Range(low, high, step):
            raise LookupError(name)
        self.values[name] = value
        return value

    def suggest_float(self, name: str, low: float, high: float) -> float:
        value = self.known[name]
        if not isinstance(value, float | int) or not low <= value <= high:
            raise LookupError(name)
        self.values[name] = float(value)
        return float(value)
