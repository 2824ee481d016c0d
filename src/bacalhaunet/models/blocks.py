"""The kinds of block a network is made of, by name.

A new kind is a dataclass, a row here and its module in ``models.network``.
"""

from __future__ import annotations

from typing import Any

from bacalhaunet.errors import SpecError
from bacalhaunet.models.block import ACTIVATIONS, Bits, Block
from bacalhaunet.models.conv_block import ConvBlock
from bacalhaunet.models.fields import check_choice, keyword_arguments
from bacalhaunet.models.inverted_residual_block import InvertedResidualBlock
from bacalhaunet.models.separable_block import SeparableBlock

__all__ = [
    "ACTIVATIONS",
    "BLOCK_KINDS",
    "Bits",
    "Block",
    "ConvBlock",
    "InvertedResidualBlock",
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
