"""What a search may choose from, and the network that a point of it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bacalhaunet.cost.analytic import spec_cost
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.block import Stream
from bacalhaunet.models.fields import MAX_BITS, MAX_CHANNELS, MAX_KERNEL, MIN_BITS
from bacalhaunet.models.spec import HeadSpec, InputSpec, NetworkSpec, SeparableBlock

MAX_BLOCKS = 64


@dataclass(frozen=True)
class Range:
    """The integers ``low, low + step, ...`` up to ``high``.

    Attributes:
        low: Smallest value.
        high: Largest value.
        step: Distance between two values.
    """

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        """Check that there is a value and that ``high`` is one."""
        if self.step < 1 or self.low > self.high or (self.high - self.low) % self.step:
            raise ConfigError(
                f"a range is low {self.low}, high {self.high}, step {self.step}",
                allowed="low <= high, step >= 1, and high a whole number of steps above low",
            )

    def __contains__(self, value: object) -> bool:
        """Say whether ``value`` is one of the integers."""
        return isinstance(value, int) and self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True)
class ShareRange:
    """The real numbers from ``low`` to ``high``, both shares of the whole.

    Attributes:
        low: Smallest share, 0 or more.
        high: Largest share, below 1.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the order and the limits."""
        if not 0 <= self.low <= self.high < 1:
            raise ConfigError(f"a range of shares is {self.low} to {self.high}", allowed="0 <= low <= high < 1")


@dataclass(frozen=True)
class SearchSpace:
    """Networks of separable blocks: the architecture, the bits of every layer and the share of weights pruned.

    Every value is chosen for each block or layer on its own. A range with one value fixes it.

    Attributes:
        blocks: Number of separable blocks.
        kernel: Taps of a depthwise convolution; all odd.
        stride: Step of a depthwise convolution.
        channels: Channels out of a block.
        dilation: Distance between the taps of a depthwise convolution.
        depth_multiplier: Depthwise outputs of each input channel.
        weight_bits: Bits of the weights of a layer.
        activation_bits: Bits of an activation or a residual sum.
        input_bits: Bits of the input.
        prune_share: Share of all weights that is set to zero after training.
        shared_sums: Whether both inputs of a residual sum go through one quantizer, where they can.
    """

    blocks: Range = Range(2, 6)
    kernel: Range = Range(3, 33, 2)
    stride: Range = Range(1, 2)
    channels: Range = Range(8, 64, 2)
    dilation: Range = Range(1, 1)
    depth_multiplier: Range = Range(1, 1)
    weight_bits: Range = Range(2, 8)
    activation_bits: Range = Range(2, 8)
    input_bits: Range = Range(4, 8)
    prune_share: ShareRange = ShareRange(0.0, 0.9)
    shared_sums: bool = False

    def __post_init__(self) -> None:
        """Check that every choice can be built."""
        bits = Range(MIN_BITS, MAX_BITS)
        limits = {
            "blocks": Range(1, MAX_BLOCKS),
            "kernel": Range(1, MAX_KERNEL, 2),
            "stride": Range(1, 1024),
            "channels": Range(1, MAX_CHANNELS),
            "dilation": Range(1, 1024),
            "depth_multiplier": Range(1, 1024),
            "weight_bits": bits,
            "activation_bits": bits,
            "input_bits": bits,
        }
        for name, limit in limits.items():
            asked: Range = getattr(self, name)
            # Of odd limits, odd ends and an even step between them keep every value odd.
            stepped = asked.low == asked.high or asked.step % limit.step == 0
            if not (asked.low in limit and asked.high in limit and stepped):
                odd = ", all odd" if limit.step == 2 else ""
                raise ConfigError(
                    f"space.{name} is {asked.low} to {asked.high} in steps of {asked.step}",
                    allowed=f"within {limit.low} to {limit.high}{odd}",
                    action=f"change space.{name} in the YAML",
                )


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
        """Return the score if the same share of every layer is pruned, but for one weight; known before training."""
        kept = {layer.name: max(1, round((1 - self.prune_share) * layer.weights)) for layer in self.spec.layers()}
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
