"""The trained networks that come with the package, and loading any network by name.

Each is three files in the folder ``shipped``: NAME.safetensors (the saved model), NAME.onnx (its export) and NAME.json
(its card: what it is, how it was trained, what was measured).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhaunet.errors import ModelFileError, suggestion

if TYPE_CHECKING:
    from bacalhaunet.models.saved import SavedModel

FOLDER = Path(__file__).with_name("shipped")
"""Where the files are."""

PREFERRED = ("field", "balanced", "paper", "lite")
"""What classifies signals by default: the network made for the air, else the most accurate of the cheap ones."""


@dataclass(frozen=True)
class ShippedNetwork:
    """A trained network in the package.

    Attributes:
        name: The name commands take.
        card: What the card says; it has at least ``accuracy``, ``score``, ``bit_ops`` and ``bit_mem``.
        model: The saved model.
        onnx: Its export.
    """

    name: str
    card: Mapping[str, Any]
    model: Path
    onnx: Path


def shipped_networks(folder: Path | None = None) -> dict[str, ShippedNetwork]:
    """Return the networks in ``folder`` (the package's if None) by name, in alphabetical order.

    Raises:
        ModelFileError: If a card is damaged or the files it belongs to are missing.
    """
    found = {}
    for card in sorted((folder or FOLDER).glob("*.json")):
        try:
            values = json.loads(card.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelFileError(
                f"the card cannot be read: {error}", where=str(card), action="install again"
            ) from error
        network = ShippedNetwork(card.stem, values, card.with_suffix(".safetensors"), card.with_suffix(".onnx"))
        for file in (network.model, network.onnx):
            if not file.is_file():
                raise ModelFileError("a file of a shipped network is missing", where=str(file), action="install again")
        found[card.stem] = network
    return found


def find_shipped(name: str, folder: Path | None = None) -> ShippedNetwork:
    """Return the shipped network called ``name``, from the package's folder if none is given.

    Raises:
        ModelFileError: If there is none; the message lists those there are.
    """
    networks = shipped_networks(folder)
    if name not in networks:
        raise ModelFileError(
            f"no shipped network is called {name!r}",
            allowed=", ".join(networks) or "none come with this installation",
            action=suggestion(name, networks) or "'bacalhaunet models' lists all networks",
        )
    return networks[name]


def by_accuracy(networks: Mapping[str, ShippedNetwork]) -> list[ShippedNetwork]:
    """Return the networks in the order of lists: those measured on the twin first, the most accurate first."""
    return sorted(
        networks.values(), key=lambda network: (network.card.get("profile") != "twin", -float(network.card["accuracy"]))
    )


def default_network(networks: Mapping[str, ShippedNetwork]) -> str:
    """Return the one of the shipped networks that recordings and live radio are classified with where none is named.

    Raises:
        ModelFileError: If no network comes with this installation.
    """
    for name in PREFERRED:
        if name in networks:
            return name
    if not networks:
        raise ModelFileError(
            "no network is given, and none comes with this installation",
            allowed="an ONNX file, a saved model (.safetensors) or a name that 'bacalhaunet models' lists",
            action="pass one, for example --network network.onnx",
        )
    return max(networks.values(), key=lambda network: float(network.card["accuracy"])).name


def load(name: str) -> SavedModel:
    """Return the shipped network called ``name`` with its weights, ready to run in torch.

    Raises:
        ModelFileError: If there is none or its file is damaged.
    """
    shipped = find_shipped(name)
    from bacalhaunet.models.saved import load_model

    return load_model(shipped.model)
