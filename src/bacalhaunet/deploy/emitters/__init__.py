"""Emitters: what writes an integer program for a target, such as C for microcontrollers. A table, and one folder each.

A target is a package with one function, and a row of ``TARGETS`` that names it:

    # emitters/json/__init__.py
    def emit(program: Program, name: str, vectors: int) -> Emission:
        return Emission({f"{name}.json": to_text(program)})

    # in TARGETS
    "json": Target("bacalhaunet.deploy.emitters.json", "the program as JSON"),

Other packages add theirs through the entry point group ``bacalhaunet.emitters``: the target's name and its module.
An emitter reads ``program.layers`` and ``program.tensors``; ``Program`` says what these mean.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from bacalhaunet.deploy.networks import AnyNetwork, integer_program
from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import whole_file

if TYPE_CHECKING:
    from bacalhaunet.deploy.integer.program import Program


@dataclass(frozen=True)
class Emission:
    """What an emitter wrote, in memory.

    Attributes:
        files: Contents by path, relative to the folder they go to.
        figures: What it takes, by what it is called, such as ``{"bytes of RAM": 2600}``.
    """

    files: Mapping[str, str | bytes]
    figures: Mapping[str, int] = field(default_factory=dict)


class Emitter(Protocol):
    """A target's package."""

    def emit(self, program: Program, name: str, vectors: int) -> Emission:
        """Write a program.

        Args:
            program: What to write.
            name: What files, functions or modules are called.
            vectors: Frames of the self-test, with the logits they must give.

        Raises:
            ConfigError: If the target does not allow the name.
            UnsupportedOperationError: If it cannot run a layer of the program.
        """


class Target(NamedTuple):
    """One target: the module of its emitter and one line on what that writes."""

    module: str
    summary: str


TARGETS: dict[str, Target] = {
    "c": Target("bacalhaunet.deploy.emitters.c", "portable C99 for any processor, with a self-test"),
}
"""The targets of this package. Adding one is adding a folder beside this file and a row here."""

GROUP = "bacalhaunet.emitters"
"""The entry point group of other packages' targets."""


def targets() -> dict[str, Target]:
    """Return all targets by name: this package's, then those that other packages add."""
    others = {point.name: Target(point.value, f"from {point.value}") for point in entry_points(group=GROUP)}
    return TARGETS | {name: target for name, target in others.items() if name not in TARGETS}


def emitter_for(target: str) -> Emitter:
    """Return the emitter of a target.

    Raises:
        ConfigError: If there is no such target; the message lists those there are.
    """
    known = targets()
    if target not in known:
        raise ConfigError(
            f"no target is called {target!r}",
            allowed="; ".join(f"{name} ({one.summary})" for name, one in known.items()),
        )
    return cast(Emitter, import_module(known[target].module))


def write_program(
    program: Program,
    folder: str | os.PathLike[str],
    target: str = "c",
    *,
    name: str = "classifier",
    vectors: int = 2,
) -> Emission:
    """Write a program for a target into a folder, every file whole or absent.

    Args:
        program: What to write.
        folder: Where to; it is made if absent, files of the same names are replaced.
        target: A key of ``targets()``.
        name: What files and functions are called.
        vectors: Frames of the self-test.

    Raises:
        ConfigError: If there is no such target, it does not allow the name, or ``vectors`` is below 1.
        UnsupportedOperationError: If the target cannot run a layer of the program; nothing is written then.
    """
    emitter = emitter_for(target)
    if vectors < 1:
        raise ConfigError(f"{vectors} frames for the self-test", allowed="1 or more")
    emission = emitter.emit(program, name, vectors)
    for file, content in emission.files.items():
        with whole_file(Path(folder) / file) as partial:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
    return emission


def compile_network(
    network: AnyNetwork,
    folder: str | os.PathLike[str],
    target: str = "c",
    *,
    name: str = "classifier",
    vectors: int = 2,
) -> Emission:
    """Write a quantized network for a target, as an integer program that computes exactly what it was trained to.

    Args:
        network: An ONNX file, a saved model, the folder of a run, a name, or a torch module that carries its
            specification.
        folder: Where the files go; it is made if absent.
        target: A key of ``targets()``: ``"c"``, portable C99 for any processor, and what other packages add.
        name: What files and functions are called.
        vectors: Frames of the self-test.

    Raises:
        ConfigError: If there is no such target, it does not allow the name, or ``vectors`` is below 1.
        UnsupportedOperationError: If the network has no integer form, or the target cannot run a layer of it.
        MissingExtraError: If a package of the extra ``train`` is needed and missing.

    Example:
        >>> written = compile_network("lite", "firmware", name="modulation")
        >>> written.figures["bytes of RAM"], "modulation.c" in written.files
        (2600, True)
    """
    emitter_for(target)  # an unknown one is said before the network is read
    return write_program(integer_program(network), folder, target, name=name, vectors=vectors)
