"""What the name of a network means: the one place that decides it, for every command and function.

A network is given as one of these, tried in this order:

========== ==================================================================== =========================
kind       what is given                                                        what there is of it
========== ==================================================================== =========================
``onnx``   a file ending in ``.onnx``                                           ``onnx``
``saved``  a file ending in ``.safetensors``, or the folder of a run            ``saved``
``spec``   a specification, a file ending in ``.yaml``, ``.yml`` or ``.json``   ``spec_file``
shipped    the name of a trained network that comes with the package            ``saved``, ``onnx``, ``card``
catalog    the name of an architecture, without weights                         ``spec()``
========== ==================================================================== =========================

A name that a network goes by means that network, whatever lies in the working directory; ``./NAME`` means a folder of
that name. This module imports neither torch nor onnx.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bacalhaunet.errors import ModelFileError, SpecError, suggestion
from bacalhaunet.models.shipped_networks import FOLDER, shipped_networks

if TYPE_CHECKING:
    from bacalhaunet.models.spec import NetworkSpec

Kind = Literal["onnx", "saved", "spec", "shipped", "catalog"]

KINDS: dict[Kind, str] = {
    "onnx": "an ONNX file (.onnx)",
    "saved": "a saved model (.safetensors) or the folder of a run",
    "spec": "a specification (.yaml, .json)",
    "shipped": "the name of a shipped network",
    "catalog": "the name of an architecture",
}
"""The kinds of source, and how messages describe them."""

TRAINED: frozenset[Kind] = frozenset(("onnx", "saved", "shipped"))
"""Kinds that have trained weights."""

MODEL_FILE = "model.safetensors"
"""The saved model in the folder of a run, or of its last step."""

_SUFFIXES: dict[str, Kind] = {
    ".onnx": "onnx",
    ".safetensors": "saved",
    ".yaml": "spec",
    ".yml": "spec",
    ".json": "spec",
}


@dataclass(frozen=True)
class NetworkSource:
    """Where a network comes from.

    Attributes:
        name: What was given; a file or folder as it was written.
        kind: Which kind of source that is.
        saved: Its saved model, if it has one.
        onnx: Its export, if it has one.
        spec_file: Its specification, if it is one.
        card: What was measured of a shipped network; empty for others.
    """

    name: str
    kind: Kind
    saved: Path | None = None
    onnx: Path | None = None
    spec_file: Path | None = None
    card: Mapping[str, Any] | None = None

    @property
    def trained(self) -> bool:
        """Whether the source has trained weights."""
        return self.kind in TRAINED

    def spec(self) -> NetworkSpec:
        """Return the specification of an architecture or a specification file.

        Raises:
            SpecError: If the file cannot be read as one.
            ModelFileError: If the source is of another kind.
        """
        from bacalhaunet.models.catalog import CATALOG
        from bacalhaunet.models.spec import NetworkSpec

        if self.spec_file is not None:
            return NetworkSpec.load(self.spec_file)
        if self.kind == "catalog":
            return CATALOG[self.name].spec
        raise _refusal(self, ("catalog", "spec"), "an architecture")


def resolve_network(
    network: str | os.PathLike[str], kinds: Collection[Kind] = tuple(KINDS), purpose: str = "a network"
) -> NetworkSource:
    """Say what the name of a network means.

    Args:
        network: A file, the folder of a run, or a name.
        kinds: The kinds of source that can be used.
        purpose: What it is needed for, as messages say it: "a network to train".

    Raises:
        ModelFileError: If a file or folder is missing, or of a kind that cannot be used.
        SpecError: If no network has that name; the message lists those there are.

    Example:
        >>> source = resolve_network("lite")
        >>> source.kind, source.saved.name, source.onnx.name
        ('shipped', 'lite.safetensors', 'lite.onnx')
        >>> resolve_network("bacalhaunet").spec().classes
        24
    """
    name = os.fspath(network)
    source = _from_file(name, kinds, purpose) or _from_name(name, kinds, purpose)
    if source.kind not in kinds:
        raise _refusal(source, kinds, purpose)
    return source


def _from_file(name: str, kinds: Collection[Kind], purpose: str) -> NetworkSource | None:
    """Return the source that a path is; None for what is spelt as a name."""
    path = Path(name)
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None and name in known_names():  # whatever lies in the working directory: ./NAME is the file or folder
        return None
    if path.is_dir() and (kind is None or not name.endswith(path.suffix)):
        model = run_model(path)
        if model is not None:
            return NetworkSource(name, "saved", saved=model)
        raise ModelFileError(
            "a folder without a saved model is not a network", where=name, allowed=_listed(kinds), action=_LOOK
        )
    if kind is None and not path.is_file() and os.sep not in name:
        return None
    if not path.is_file():
        problem = "a folder is not a network file" if path.is_dir() else "the network file does not exist"
        raise ModelFileError(problem, where=name, action=f"check the path; {_LOOK}")
    if kind is None:
        ending = path.suffix.lower() or "nothing"
        raise ModelFileError(f"a file ending in {ending!r} is not {purpose}", where=name, allowed=_listed(kinds))
    field = {"onnx": "onnx", "saved": "saved", "spec": "spec_file"}[kind]
    return NetworkSource(name, kind, **{field: path})  # type: ignore[arg-type]


def require_trained(network: str, purpose: str = "a network that classifies") -> None:
    """Refuse the name of an architecture: what a network without training answers would be chance. Files pass.

    Raises:
        ModelFileError: If an architecture has that name and no trained network does.
    """
    from bacalhaunet.models.catalog import CATALOG

    if network in CATALOG and network not in shipped_networks():
        raise _refusal(NetworkSource(network, "catalog"), tuple(TRAINED), purpose)


def network_title(network: str | os.PathLike[str]) -> str:
    """Return what people call a network: the name of a shipped one, also where its file is given."""
    path = Path(network)
    return path.stem if path.parent == FOLDER else os.fspath(network)


def run_model(folder: Path) -> Path | None:
    """Return the saved model that a run left in its folder: its own, else that of its last step; None without one."""
    if (folder / MODEL_FILE).is_file():
        return folder / MODEL_FILE
    steps = [file for file in folder.glob(f"step-*/{MODEL_FILE}") if file.parent.name[5:].isdigit()]
    return max(steps, key=lambda file: int(file.parent.name[5:]), default=None)


def _from_name(name: str, kinds: Collection[Kind], purpose: str) -> NetworkSource:
    from bacalhaunet.models.catalog import CATALOG

    shipped = shipped_networks().get(name)
    if shipped is not None and ("shipped" in kinds or name not in CATALOG):
        return NetworkSource(name, "shipped", shipped.model, shipped.onnx, card=shipped.card)
    if name in CATALOG:
        return NetworkSource(name, "catalog")
    raise unknown_network(name, kinds, purpose)


_LOOK = "'bacalhaunet models' lists the networks that go by name"


def known_names() -> tuple[str, ...]:
    """Return all names of networks: the shipped ones, then the architectures."""
    from bacalhaunet.models.catalog import CATALOG

    return (*shipped_networks(), *CATALOG)


def unknown_network(name: str, kinds: Collection[Kind] = tuple(KINDS), purpose: str = "a network") -> SpecError:
    """Return the error for a name that no network has: it lists the names that can be used, and those close to it."""
    from bacalhaunet.models.catalog import CATALOG

    if name.lower().endswith(".onnx"):
        return SpecError(
            f"{name!r} is an ONNX file, where a network to train, score or export is needed",
            allowed="a saved model (.safetensors) or the name of a network",
            action="give the saved model that it was exported from",
        )
    names = [*(shipped_networks() if "shipped" in kinds else ()), *(CATALOG if "catalog" in kinds else ())]
    return SpecError(
        f"no network is called {name!r}", allowed=", ".join(names), action=suggestion(name, names) or _LOOK
    )


def _refusal(source: NetworkSource, kinds: Collection[Kind], purpose: str) -> ModelFileError:
    """Return the error for a source of a kind that cannot be used."""
    if source.kind == "catalog":
        return ModelFileError(
            f"{source.name!r} has no trained weights, where {purpose} is needed",
            allowed=", ".join([*shipped_networks(), "a file of trained weights"]),
            action=f"'bacalhaunet train --network {source.name} --output runs/{source.name}' trains it",
        )
    action = "give the saved model that it was exported from" if source.kind == "onnx" else _LOOK
    return ModelFileError(
        f"{source.name!r} is {KINDS[source.kind]}, where {purpose} is needed", allowed=_listed(kinds), action=action
    )


def _listed(kinds: Collection[Kind]) -> str:
    return ", ".join(words for kind, words in KINDS.items() if kind in kinds)
