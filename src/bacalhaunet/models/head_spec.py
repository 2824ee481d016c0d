"""The end of a network, as data: pooling over time and dense layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bacalhaunet.errors import SpecError
from bacalhaunet.models.block import ACTIVATIONS, LayerInfo, Stream, dense
from bacalhaunet.models.fields import (
    MAX_CHANNELS,
    check_bits,
    check_choice,
    check_integer,
    keyword_arguments,
)

POOLS = ("max", "average", "flatten")
"""What turns channels over time into features: their maximum, their mean, or all values side by side."""


@dataclass(frozen=True)
class HiddenSpec:
    """A dense layer before the last one, with BatchNorm and an activation.

    Attributes:
        features: Features out.
        activation: ``"relu"`` or ``"hardswish"``.
        weight_bits: Bits of the weights; None for float32.
        activation_bits: Bits after the activation; None for float32.
    """

    features: int
    activation: str = "relu"
    weight_bits: int | None = None
    activation_bits: int | None = None

    def check(self, where: str) -> None:
        """Raise SpecError if a value is not allowed."""
        check_integer(f"{where}.features", self.features, 1, MAX_CHANNELS)
        check_choice(f"{where}.activation", self.activation, ACTIVATIONS)
        check_bits(f"{where}.weight_bits", self.weight_bits)
        check_bits(f"{where}.activation_bits", self.activation_bits)


@dataclass(frozen=True)
class HeadSpec:
    """What follows the last block: pooling over time, hidden dense layers, the last dense layer.

    Attributes:
        pool: ``"max"``, ``"average"`` or ``"flatten"``.
        pooled_bits: Bits of a quantizer after the pooling; None for none. Pooling by maximum keeps the bits of the
            last block, so none is needed there; the 2021 network has one of 8 bits all the same.
        hidden: Dense layers before the last one.
        weight_bits: Bits of the last layer's weights; None for float32.
    """

    pool: str = "max"
    pooled_bits: int | None = None
    hidden: tuple[HiddenSpec, ...] = ()
    weight_bits: int | None = None

    def __post_init__(self) -> None:
        """Take the hidden layers from a list."""
        object.__setattr__(self, "hidden", tuple(self.hidden))

    def check(self) -> None:
        """Raise SpecError if a value is not allowed."""
        check_choice("head.pool", self.pool, POOLS)
        check_bits("head.pooled_bits", self.pooled_bits)
        for index, hidden in enumerate(self.hidden):
            hidden.check(f"head.hidden.{index}")
        check_bits("head.weight_bits", self.weight_bits)

    def features(self, last: Stream) -> Stream:
        """Describe what the first dense layer gets when ``last`` is the output of the last block."""
        bits = None if self.pool == "average" else last.bits
        channels = last.channels * last.length if self.pool == "flatten" else last.channels
        return Stream(channels, 1, bits if self.pooled_bits is None else self.pooled_bits, last.signed)

    def layers(self, last: Stream, classes: int) -> list[LayerInfo]:
        """Describe the dense layers."""
        features = self.features(last)
        found, count, bits = [], features.channels, features.bits
        for index, hidden in enumerate(self.hidden):
            name = f"head.hidden.{index}.linear"
            found.append(dense(name, count, hidden.features, weight_bits=hidden.weight_bits, input_bits=bits))
            count, bits = hidden.features, hidden.activation_bits
        found.append(dense("head.dense", count, classes, weight_bits=self.weight_bits, input_bits=bits))
        return found

    def quantized(self, weight_bits: int | None, activation_bits: int | None, pooled_bits: int | None) -> HeadSpec:
        """Return the same head with other bits."""
        if pooled_bits is None and self.pool == "average":
            pooled_bits = activation_bits
        hidden = tuple(replace(h, weight_bits=weight_bits, activation_bits=activation_bits) for h in self.hidden)
        return replace(self, pooled_bits=pooled_bits, hidden=hidden, weight_bits=weight_bits)


def head_from(values: object) -> HeadSpec:
    """Make a head from plain data.

    Raises:
        SpecError: If a field is missing or unknown.
    """
    arguments = keyword_arguments("head", HeadSpec, values)
    hidden = arguments.get("hidden", ())
    if not isinstance(hidden, list | tuple):
        raise SpecError(f"head.hidden is {hidden!r}", where="head", allowed="a list of dense layers")
    arguments["hidden"] = tuple(
        HiddenSpec(**keyword_arguments(f"head.hidden.{index}", HiddenSpec, layer)) for index, layer in enumerate(hidden)
    )
    return HeadSpec(**arguments)
