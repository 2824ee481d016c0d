"""The specification of a network: everything that decides its shape, its bits and its cost, as plain data.

A new kind of block is a dataclass, a row in ``BLOCK_KINDS`` and a builder in ``models.network``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from bacalhaunet.errors import SpecError
from bacalhaunet.models.block import ACTIVATIONS, Bits, Block, LayerInfo, Stream, dense
from bacalhaunet.models.blocks import ConvBlock, InvertedResidualBlock, SeparableBlock
from bacalhaunet.models.fields import (
    MAX_CHANNELS,
    MAX_LENGTH,
    check_bits,
    check_choice,
    check_finite,
    check_flag,
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


__all__ = [
    "ACTIVATIONS",
    "BLOCK_KINDS",
    "Bits",
    "Block",
    "ConvBlock",
    "HeadSpec",
    "HiddenSpec",
    "InputSpec",
    "InvertedResidualBlock",
    "NetworkSpec",
    "SeparableBlock",
    "block_from",
]

BLOCK_KINDS: dict[str, type[Block]] = {cls.kind: cls for cls in (SeparableBlock, ConvBlock, InvertedResidualBlock)}
"""The kinds of block by the name they have in a file."""


def block_from(where: str, values: object) -> Block:
    """Make a block from plain data with its ``kind``.

    Raises:
        SpecError: If the kind is unknown or the fields are not those of the kind.
    """
    if not isinstance(values, dict):
        raise SpecError(f"{where} is {values!r}", where=where, allowed="a mapping with kind and fields")
    kind = values.get("kind", SeparableBlock.kind)
    check_choice(f"{where}.kind", kind, BLOCK_KINDS)
    cls = BLOCK_KINDS[kind]
    rest: dict[str, Any] = {key: value for key, value in values.items() if key != "kind"}
    return cls(**keyword_arguments(where, cls, rest))


@dataclass(frozen=True)
class InputSpec:
    """What happens to a frame first.

    Attributes:
        channels: Rows of a frame; 2 for I and Q.
        clip: Lowest and highest value kept, as the report's [-2, 3]; None for no clipping.
        bits: Bits of the signed input quantizer; None for float32.
    """

    channels: int = 2
    clip: tuple[float, float] | None = (-2.0, 3.0)
    bits: int | None = None

    def __post_init__(self) -> None:
        """Take the pair from a list, as files give it."""
        clip: object = self.clip
        if isinstance(clip, list):
            object.__setattr__(self, "clip", tuple(clip))

    def check(self) -> None:
        """Raise SpecError if a value is not allowed."""
        check_integer("input.channels", self.channels, 1, MAX_CHANNELS)
        check_bits("input.bits", self.bits)
        if self.clip is None:
            return
        if not isinstance(self.clip, tuple) or len(self.clip) != 2:
            raise SpecError(f"input.clip is {self.clip!r}", where="input", allowed="null or [lowest, highest]")
        for value in self.clip:
            check_finite("input.clip", value)
        if not self.clip[0] < 0 < self.clip[1]:
            raise SpecError(f"input.clip is {list(self.clip)}", where="input", allowed="lowest < 0 < highest")


@dataclass(frozen=True)
class NetworkSpec:
    """A network from frames (batch, channels, frame_length) to logits (batch, classes).

    It is checked when made: a NetworkSpec that exists can be built.

    Attributes:
        blocks: The blocks in order.
        input: Clipping and quantization of the input.
        head: What follows the last block.
        classes: Number of classes.
        frame_length: Samples of a frame.
        learned_weight_steps: Whether the step of each layer's quantized weights is learned, instead of following the
            layer's largest weight.

    Raises:
        SpecError: If a value is not allowed or a block cannot follow the one before.
    """

    blocks: tuple[Block, ...]
    input: InputSpec = field(default_factory=InputSpec)
    head: HeadSpec = field(default_factory=HeadSpec)
    classes: int = 24
    frame_length: int = 1024
    learned_weight_steps: bool = False

    def __post_init__(self) -> None:
        """Check every value and that each block fits the one before."""
        object.__setattr__(self, "blocks", tuple(self.blocks))
        check_integer("frame_length", self.frame_length, 1, MAX_LENGTH)
        check_integer("classes", self.classes, 2, MAX_CHANNELS)
        check_flag("learned_weight_steps", self.learned_weight_steps)
        self.input.check()
        if not self.blocks:
            raise SpecError("a network needs a block", where="blocks", allowed=f"kinds: {', '.join(BLOCK_KINDS)}")
        stream = self.input_stream
        for index, block in enumerate(self.blocks):
            if not isinstance(block, Block):
                raise SpecError(f"blocks.{index} is {block!r}", allowed=f"a block: {', '.join(BLOCK_KINDS)}")
            block.check(f"blocks.{index}", stream)
            stream = block.out(stream)
        self.head.check()

    @property
    def input_stream(self) -> Stream:
        """The tensor the first block gets."""
        return Stream(self.input.channels, self.frame_length, self.input.bits, signed=True)

    def streams(self) -> tuple[Stream, ...]:
        """Describe the tensor each block gets, and last the one the head gets."""
        found = [self.input_stream]
        for block in self.blocks:
            found.append(block.out(found[-1]))
        return tuple(found)

    def steps(self) -> Iterator[tuple[str, Block, Stream]]:
        """Yield each block with its name and the tensor it gets."""
        for index, (block, stream) in enumerate(zip(self.blocks, self.streams(), strict=False)):
            yield f"blocks.{index}", block, stream

    def layers(self) -> tuple[LayerInfo, ...]:
        """Describe every convolution and dense layer in the order they are computed.

        Names are those of the state dict and of the exported graph. Nothing is built.
        """
        found = [layer for name, block, stream in self.steps() for layer in block.layers(name, stream)]
        return (*found, *self.head.layers(self.streams()[-1], self.classes))

    @property
    def is_float(self) -> bool:
        """Whether the network has no quantizer at all."""
        return self == self.quantized(None, None, input_bits=None)

    def quantized(
        self,
        weight_bits: int | None,
        activation_bits: int | None,
        *,
        input_bits: int | None = 8,
        sum_bits: int | None = None,
        pooled_bits: int | None = None,
        shared_sums: bool = False,
    ) -> NetworkSpec:
        """Return the same network with other bits everywhere; None is float32.

        Args:
            weight_bits: Bits of every weight.
            activation_bits: Bits of every activation.
            input_bits: Bits of the input; ignored (float32) if weights and activations are both None.
            sum_bits: Bits of residual sums and of the other results no activation follows; None leaves them
                unquantized as in 2021, and the metric charges 32 bits for the next layer.
            pooled_bits: Bits of an extra quantizer before the first dense layer. After average pooling it is
                ``activation_bits`` if None.
            shared_sums: Whether both inputs of a residual sum go through one quantizer.
        """
        if weight_bits is None and activation_bits is None:
            input_bits = None
        bits = Bits(weight_bits, activation_bits, sum_bits, shared_sums)
        changed = replace(self.input, bits=input_bits)
        changed.check()
        stream, blocks = replace(self.input_stream, bits=input_bits), []
        for block in self.blocks:
            blocks.append(block.quantized(bits, stream))
            stream = blocks[-1].out(stream)
        head = self.head.quantized(weight_bits, activation_bits, pooled_bits)
        return replace(self, blocks=tuple(blocks), input=changed, head=head)

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain data; ``from_dict`` takes it back."""
        plain = asdict(self)
        plain["blocks"] = [{"kind": block.kind, **asdict(block)} for block in self.blocks]
        plain["head"]["hidden"] = list(plain["head"]["hidden"])
        plain["input"]["clip"] = None if self.input.clip is None else list(self.input.clip)
        return plain

    @staticmethod
    def from_dict(values: object) -> NetworkSpec:
        """Make a specification from plain data.

        Raises:
            SpecError: If a field is missing, unknown or has a value that is not allowed.
        """
        arguments = keyword_arguments("the specification", NetworkSpec, values)
        if not isinstance(arguments["blocks"], list | tuple):
            raise SpecError(f"blocks is {arguments['blocks']!r}", where="blocks", allowed="a list of blocks")
        arguments["blocks"] = tuple(block_from(f"blocks.{i}", b) for i, b in enumerate(arguments["blocks"]))
        if "input" in arguments:
            arguments["input"] = InputSpec(**keyword_arguments("input", InputSpec, arguments["input"]))
        if "head" in arguments:
            arguments["head"] = head_from(arguments["head"])
        return NetworkSpec(**arguments)

    def to_yaml(self) -> str:
        """Return the specification as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    def to_json(self) -> str:
        """Return the specification as JSON."""
        return json.dumps(self.to_dict())

    @staticmethod
    def from_yaml(text: str) -> NetworkSpec:
        """Make a specification from YAML or JSON (which YAML includes).

        Raises:
            SpecError: If the text is not YAML or not a specification.
        """
        try:
            return NetworkSpec.from_dict(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise SpecError(f"the specification is not YAML: {error}") from error

    @staticmethod
    def from_json(text: str) -> NetworkSpec:
        """Make a specification from JSON.

        Raises:
            SpecError: If the text is not JSON or not a specification.
        """
        try:
            return NetworkSpec.from_dict(json.loads(text))
        except json.JSONDecodeError as error:
            raise SpecError(f"the specification is not JSON: {error}") from error

    @staticmethod
    def load(path: str | os.PathLike[str]) -> NetworkSpec:
        """Read a specification from a ``.yaml``, ``.yml`` or ``.json`` file.

        Raises:
            SpecError: If the file cannot be read or is not a specification.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"the specification cannot be read: {error}", where=str(path)) from error
        return NetworkSpec.from_yaml(text)
