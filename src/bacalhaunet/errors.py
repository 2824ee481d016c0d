"""Errors that say what is wrong, where, what is allowed and what to do next."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class BacalhauNetError(Exception):
    """Base of every error a user can cause and mend.

    The message reads ``problem``, then one line each for where, what is allowed and what to do. The command line
    prints it without a traceback and ends with exit code 2.

    Args:
        problem: What is wrong, with the value that was found.
        where: The file, field, node or index it was found at.
        allowed: What would have been right.
        action: The next step for the user.
    """

    def __init__(
        self, problem: str, *, where: str | None = None, allowed: str | None = None, action: str | None = None
    ) -> None:
        self.problem, self.where, self.allowed, self.action = problem, where, allowed, action
        parts = [("where", where), ("allowed", allowed), ("do", action)]
        super().__init__("\n".join([problem, *(f"  {name}: {text}" for name, text in parts if text)]))


class ConfigError(BacalhauNetError):
    """A setting, option or combination of options that cannot be used."""


class DatasetError(BacalhauNetError):
    """A RadioML file that is damaged, truncated, out of order or of the wrong type."""


class RecordingError(BacalhauNetError):
    """A recording or array that cannot be read as complex samples."""


class SpecError(BacalhauNetError):
    """A network specification that cannot be built."""


class ModelFileError(BacalhauNetError):
    """A saved model, checkpoint or ONNX file that cannot be read or used."""


class UnsupportedOperationError(ModelFileError):
    """A network with an operation the metric, an engine or the compiler does not know."""


class ParityError(BacalhauNetError):
    """An exported or compiled network that does not compute what the original computes."""


class MissingExtraError(BacalhauNetError):
    """A command or function needs packages that the installed extras do not bring."""


def how_to_install(extra: str) -> str:
    """Return how to install an extra of the package. It is on no index: it is installed from a clone."""
    return f"in the clone, pip install -c constraints.txt '.[{extra}]'"


def suggestion(value: object, allowed: Iterable[str]) -> str | None:
    """Return a question that names what is spelled like a value, for an error's next step; None if nothing is.

    >>> suggestion("clasify", ["classify", "cost"])
    'did you mean classify?'
    """
    close = get_close_matches(str(value), list(allowed), n=3)
    return f"did you mean {' or '.join(close)}?" if close else None


def import_extra(module: str, extra: str, purpose: str, package: str | None = None) -> Any:
    """Return a module that an extra of this package brings.

    Args:
        module: As it is imported, ``scipy.fft``.
        extra: The extra that brings it.
        purpose: What needs it, as the message says it: "finding signals".
        package: The package that has the module, if it is called otherwise.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = package or module.partition(".")[0]
        raise MissingExtraError(f"{purpose} needs the package {name}: {how_to_install(extra)}") from error
