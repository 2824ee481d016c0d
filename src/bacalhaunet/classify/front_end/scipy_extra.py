"""scipy, which the front end needs and the core install lacks."""

from __future__ import annotations

import importlib
from typing import Any

from bacalhaunet.errors import MissingExtraError, how_to_install


def scipy_module(name: str) -> Any:
    """Return ``scipy.<name>``.

    Raises:
        MissingExtraError: If scipy is not installed.
    """
    try:
        return importlib.import_module(f"scipy.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"finding signals needs the package scipy: {how_to_install('recordings')}") from error
