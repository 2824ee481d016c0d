"""Names of a package that are imported on first use, and packages that can be called.

``import bacalhaunet`` reads no other module: what a name of the front door needs is imported when the name is first
used, and where an extra is missing, one line says which and how to install it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from bacalhaunet.errors import MissingExtraError, how_to_install


class Door(NamedTuple):
    """Where a name of the front door leads.

    Attributes:
        module: The module that defines it.
        attribute: What it is called there; None for the module itself.
        extra: The extra whose packages it needs; None for the core install.
    """

    module: str
    attribute: str | None
    extra: str | None = None

    def open(self, name: str) -> Any:
        """Import what the name stands for.

        Raises:
            MissingExtraError: If a package of its extra is not installed.
        """
        with extra_for(f"bacalhaunet.{name}", self.extra):
            module = import_module(self.module)
        return module if self.attribute is None else getattr(module, self.attribute)


@contextmanager
def extra_for(name: str, extra: str | None) -> Iterator[None]:
    """Turn the absence of a package within the block into one line that names the extra which brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if extra is None or (error.name or "").startswith("bacalhaunet"):
            raise
        raise MissingExtraError(f"{name} needs the package {error.name}: {how_to_install(extra)}") from error


def make_callable(package: str, door: Door) -> None:
    """Let a package be called like a function of its own name: ``bacalhaunet.cost(network)``.

    A package and a function cannot share a name in one namespace: importing ``bacalhaunet.cost.metric`` anywhere
    would put the package in the function's place. So the package itself is what is called.

    Args:
        package: The full name of the package; call this in its ``__init__``.
        door: Where the function is.
    """

    class CallablePackage(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            name = package.rpartition(".")[2]
            with extra_for(f"bacalhaunet.{name}", door.extra):
                return door.open(name)(*arguments, **options)

    sys.modules[package].__class__ = CallablePackage


def names_on_first_use(package: str, doors: Mapping[str, Door]) -> Any:
    """Return the ``__getattr__`` of a package: it imports a name on first use and keeps it."""

    def getattribute(name: str) -> Any:
        door = doors.get(name)
        if door is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = door.open(name)
        setattr(sys.modules[package], name, value)
        return value

    return getattribute
