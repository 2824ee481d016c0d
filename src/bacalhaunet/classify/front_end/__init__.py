"""The front end: finds signals in a capture and brings each to the frames that the networks know."""

from __future__ import annotations

from typing import Any

from bacalhaunet.errors import import_extra


def scipy_module(name: str) -> Any:
    """Return ``scipy.NAME``, which the front end needs and the core install lacks.

    Raises:
        MissingExtraError: If scipy is not installed.
    """
    return import_extra(f"scipy.{name}", "recordings", "finding signals")
