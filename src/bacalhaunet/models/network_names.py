"""The names that networks go by: those that come trained with the package, and the catalog's."""

from __future__ import annotations

from pathlib import Path

from bacalhaunet.errors import ModelFileError, SpecError
from bacalhaunet.models.fields import suggestion
from bacalhaunet.models.shipped_networks import FOLDER, shipped_networks


def unknown_network(name: str) -> SpecError:
    """Return the error for a name that no network has: it lists all names, and those close to it."""
    from bacalhaunet.models.catalog import CATALOG  # which raises this error

    names = (*shipped_networks(), *CATALOG)
    if name.lower().endswith(".onnx"):
        return SpecError(
            f"{name!r} is an ONNX file, where a network to train, score or export is needed",
            allowed="a saved model (.safetensors) or the name of a network",
            action="give the saved model that it was exported from",
        )
    return SpecError(
        f"no network is called {name!r}",
        allowed=", ".join(names),
        action=suggestion(name, names) or "'bacalhaunet models' lists the networks with their figures",
    )


def check_trained(name: str) -> None:
    """Refuse the name of a network that nobody trained: what it answers would be chance.

    Raises:
        ModelFileError: If the catalog has that name and no trained network does. Files pass.
    """
    from bacalhaunet.models.catalog import CATALOG

    shipped = shipped_networks()
    if name in CATALOG and name not in shipped:
        raise ModelFileError(
            f"{name!r} has no trained weights",
            allowed=", ".join([*shipped, "a file of trained weights"]),
            action=f"'bacalhaunet train --network {name} --output runs/{name}' trains it",
        )


def shown(target: str) -> str:
    """Return what people call a network: the name of one that comes with the package, else the file as it is given."""
    return Path(target).stem if Path(target).parent == FOLDER else target
