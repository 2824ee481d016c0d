"""Networks by name or file, ready to run in torch: what export, evaluation and the torch engine open."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bacalhaunet.cost.of import quantize
from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.radio.modulations import NAMES

if TYPE_CHECKING:
    from torch import nn

    from bacalhaunet.models.spec import NetworkSpec

UNTRAINED_SEED = 2018
"""Seed of the weights of a network that nobody trained."""


@dataclass(frozen=True)
class OpenNetwork:
    """A network in torch.

    Attributes:
        network: Maps float32 (batch, 2, length) to logits (batch, classes); in evaluation mode.
        spec: What it is.
        labels: Class names by logit.
        trained: Whether its weights were trained, or drawn from ``UNTRAINED_SEED``.
    """

    network: nn.Module
    spec: NetworkSpec
    labels: tuple[str, ...]
    trained: bool


def open_network(
    target: str | os.PathLike[str], *, bits: int | None = None, seed: int = UNTRAINED_SEED, quiet: bool = False
) -> OpenNetwork:
    """Open a saved model or a shipped network, or build one of the catalog with weights drawn from a seed.

    Args:
        target: A saved model (.safetensors) or a name.
        bits: Quantize a catalog network's weights, activations and sums to this many bits, its input to 8.
        seed: Of the drawn weights.
        quiet: Leave out the warning that a network is not trained.

    Raises:
        ModelFileError: If a file is missing or damaged, or a name unknown.
        ConfigError: If ``bits`` is given for a saved model, whose bits are fixed.
    """
    from bacalhaunet.models.saved import load_model
    from bacalhaunet.models.shipped_networks import shipped_networks

    name = str(target)
    shipped = shipped_networks().get(name)
    if shipped is not None:
        target = shipped.model
    if Path(target).suffix.lower() == ".safetensors":
        if bits is not None:
            raise ConfigError(f"--bits {bits} for a trained network, whose bits are fixed", where=name)
        if not Path(target).is_file():
            raise ModelFileError("the saved model does not exist", where=str(target))
        saved = load_model(target)
        return OpenNetwork(saved.network.eval(), saved.spec, tuple(saved.labels), trained=True)
    return _untrained(name, bits, seed, quiet)


def _untrained(name: str, bits: int | None, seed: int, quiet: bool) -> OpenNetwork:
    import torch

    from bacalhaunet.models.catalog import find_spec
    from bacalhaunet.models.network import build_network

    spec = find_spec(name)
    if bits is not None:
        spec = quantize(spec, bits)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(spec).eval()
    if not quiet:
        warnings.warn(
            f"{name} is a catalog network without trained weights: they are drawn from seed {seed}", stacklevel=3
        )
    return OpenNetwork(network, spec, NAMES, trained=False)
