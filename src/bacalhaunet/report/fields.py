"""Typed reading of JSON objects: a missing or wrongly typed field is an error that names file and field."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bacalhaunet.errors import ConfigError


def read_object(path: Path, what: str) -> Fields:
    """Return the JSON object in a file.

    Args:
        path: The file.
        what: What the file is, for the message, such as "the run record".

    Raises:
        ConfigError: If the file is missing, is not UTF-8 JSON, or holds something other than an object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{what} cannot be read: {reason}", where=str(path)) from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{what} is not JSON: {error}", where=str(path)) from error
    if not isinstance(found, dict):
        raise ConfigError(f"{what} is a {type(found).__name__}", where=str(path), allowed="a JSON object")
    return Fields(found, str(path))


class Fields:
    """A JSON object whose fields are read with their type.

    Args:
        values: The object.
        where: The file and place, for messages.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def _wrong(self, key: str, allowed: str) -> ConfigError:
        if key not in self.values:
            return ConfigError(f"the field {key!r} is missing", where=self.where, allowed=allowed)
        shown = repr(self.values[key])
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return ConfigError(f"the field {key!r} is {shown}", where=self.where, allowed=allowed)

    def has(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; ``default`` where the field is absent or null."""
        if default is not None and not self.has(key):
            return default
        value = self.values.get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number between ``low`` and ``high``, ends included."""
        value: Any = self.values.get(key)
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        # The comparison is false for NaN; infinity and integers that no float can hold lie outside the limits.
        largest = sys.float_info.max
        if numeric and max(low, -largest) <= value <= min(high, largest):
            return float(value)
        limits = "" if math.isinf(low) and math.isinf(high) else f" from {low:g} to {high:g}"
        raise self._wrong(key, f"a finite number{limits}")

    def optional_number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """Return a number, or None where the field is absent or null."""
        return self.number(key, low, high) if self.has(key) else None

    def count(self, key: str) -> int:
        """Return an integer of at least 0; a float that is a whole number counts as one."""
        value = self.number(key, low=0)
        if value != int(value):
            raise self._wrong(key, "a whole number")
        return int(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """Return an object, empty where the field is absent or null."""
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return dict(value)

    def numbers(self, key: str, low: float = -math.inf, high: float = math.inf) -> dict[str, float]:
        """Return an object of finite numbers, empty where the field is absent or null."""
        inner = Fields(self.mapping(key), f"{self.where}, {key}")
        return {name: inner.number(name, low, high) for name in inner.values}

    def items(self, key: str) -> list[Any]:
        """Return a list, empty where the field is absent or null."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return value

    def objects(self, key: str) -> list[Fields]:
        """Return a list of objects, empty where the field is absent or null."""
        found = self.items(key)
        if not all(isinstance(item, dict) for item in found):
            raise self._wrong(key, "a list of objects")
        return [Fields(item, f"{self.where}, {key}[{index}]") for index, item in enumerate(found)]
