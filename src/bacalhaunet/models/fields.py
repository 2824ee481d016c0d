"""Checks of the fields of dataclasses: those of a network specification, and the settings of commands.

A specification is read here from plain data; settings are read by jsonargparse, which checks their types, so a second
reader such as pydantic would add its own messages and a dependency, for the ranges alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from bacalhaunet.errors import ConfigError, SpecError, suggestion

FLOAT_BITS = 32
"""What the metric charges for a tensor that no quantizer made."""

MIN_BITS, MAX_BITS = 2, 8
"""Fewest and most bits of a quantizer."""

MAX_CHANNELS, MAX_KERNEL, MAX_LENGTH = 65_536, 8_191, 1_048_576
"""Limits that keep a mistyped number from asking for all memory."""


@dataclass(frozen=True)
class Bounds:
    """Numbers that a setting may have.

    >>> str(Bounds(0, 1)), str(Bounds(0, above=True)), str(Bounds(1, null="all of a file"))
    ('0 to 1', 'above 0', '1 or more, or null for all of a file')

    Attributes:
        low: The smallest, itself allowed unless ``above``.
        high: The largest.
        above: Whether the number has to be larger than ``low``.
        null: What None stands for; empty where it is not allowed.
    """

    low: float
    high: float = math.inf
    above: bool = False
    null: str = ""

    def __contains__(self, value: object) -> bool:
        """Say whether a setting may have this value."""
        if value is None:
            return bool(self.null)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return False
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        """Say it in words."""
        low, high = f"{self.low:g}", f"{self.high:.10g}"
        if self.above:
            words = f"above {low}" + (f", at most {high}" if self.high < math.inf else "")
        else:
            words = f"{low} to {high}" if self.high < math.inf else f"{low} or more"
        return words + (f", or null for {self.null}" if self.null else "")


def check_settings(settings: object, group: str = "", **allowed: Bounds) -> None:
    """Raise ConfigError unless the fields of a dataclass of settings are in their ranges.

    Args:
        settings: The dataclass.
        group: Its name on the command line, as in ``--optimizer.learning_rate``; empty for the command's own.
        allowed: The range of each field that has one.
    """
    for field, numbers in allowed.items():
        value, name = getattr(settings, field), f"{group}.{field}" if group else field
        if value not in numbers:
            raise ConfigError(
                f"{name} is {value!r}", allowed=str(numbers), action=f"pass --{name} or change it in the YAML"
            )


def check_integer(where: str, value: object, low: int, high: int) -> None:
    """Raise SpecError unless ``value`` is an integer with ``low <= value <= high``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SpecError(f"{where} is {value!r}", where=where, allowed=f"an integer from {low} to {high}")


def check_bits(where: str, value: object) -> None:
    """Raise SpecError unless ``value`` is a number of bits or None, which leaves the tensor in float32."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not MIN_BITS <= value <= MAX_BITS:
        raise SpecError(
            f"{where} is {value!r}", where=where, allowed=f"{MIN_BITS} to {MAX_BITS} bits, or null for float32"
        )


def check_kernel(where: str, value: object) -> None:
    """Raise SpecError unless ``value`` is an odd kernel length."""
    check_integer(where, value, 1, MAX_KERNEL)
    if isinstance(value, int) and value % 2 == 0:
        raise SpecError(
            f"{where} is {value!r}, an even length",
            where=where,
            allowed="an odd length, so that the padding is the same on both sides and no frame is shifted",
            action=f"use {value - 1} or {value + 1}",
        )


def check_flag(where: str, value: object) -> None:
    """Raise SpecError unless ``value`` is true or false."""
    if not isinstance(value, bool):
        raise SpecError(f"{where} is {value!r}", where=where, allowed="true or false")


def check_choice(where: str, value: object, choices: Iterable[str]) -> None:
    """Raise SpecError unless ``value`` is one of ``choices``."""
    allowed = list(choices)
    if value not in allowed:
        raise SpecError(
            f"{where} is {value!r}", where=where, allowed=", ".join(allowed), action=suggestion(value, allowed)
        )


def check_finite(where: str, value: object) -> None:
    """Raise SpecError unless ``value`` is a finite real number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise SpecError(f"{where} is {value!r}", where=where, allowed="a finite number")


def keyword_arguments(where: str, cls: type, values: object) -> dict[str, Any]:
    """Return ``values`` as arguments of the dataclass ``cls`` after checking its keys.

    Args:
        where: Name of this part of the specification, for messages.
        cls: A dataclass.
        values: What a YAML or JSON file held at this place.

    Raises:
        SpecError: If ``values`` is not a mapping, lacks a field without default or has one that ``cls`` does not.
    """
    if not isinstance(values, Mapping):
        raise SpecError(f"{where} is {values!r}", where=where, allowed="a mapping of field names to values")
    known = [field.name for field in fields(cls)]
    for key in values:
        if key not in known:
            raise SpecError(
                f"{where} has a field {key!r}", where=where, allowed=", ".join(known), action=suggestion(key, known)
            )
    for field in fields(cls):
        if field.default is MISSING and field.default_factory is MISSING and field.name not in values:
            raise SpecError(f"{where} lacks the field {field.name!r}", where=where, allowed=", ".join(known))
    return dict(values)
