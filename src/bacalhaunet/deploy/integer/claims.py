"""What the check of a program of unknown origin asks of single values."""

from __future__ import annotations

import math


def require(condition: object, what: str) -> None:
    """Go on if a condition holds.

    Raises:
        ValueError: If it does not.
    """
    if not condition:
        raise ValueError(what)


def whole(value: object, low: int, high: int) -> bool:
    """Return whether a value is an integer, and no truth value, from ``low`` to ``high``."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def positive(value: object) -> bool:
    """Return whether a value is a finite real number above 0."""
    return isinstance(value, float) and math.isfinite(value) and value > 0
