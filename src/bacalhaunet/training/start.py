"""The network a run starts from: fresh, or with the weights of an earlier one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import load_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.training.config import BitsConfig, TrainConfig

SAVED_SUFFIX = ".safetensors"
SPEC_SUFFIXES = (".yaml", ".yml", ".json")


def start_network(config: TrainConfig, classes: int) -> tuple[NetworkSpec, nn.Module]:
    """Build the network ``config`` names, with the bits it asks for.

    A name of the catalog or a specification gives weights drawn from ``config.seed``. A saved model gives its own;
    with other bits its weights are taken over and its quantizers start anew.

    Args:
        config: The run.
        classes: Classes of the data; a catalog network or specification is given as many.

    Raises:
        SpecError: If the network is unknown or cannot be built.
        ModelFileError: If the saved model cannot be read.
        ConfigError: If a saved model has another number of classes.
    """
    path = Path(config.network)
    if path.suffix == SAVED_SUFFIX:
        saved = load_model(path)
        if saved.spec.classes != classes:
            raise ConfigError(
                f"the saved model has {saved.spec.classes} classes", where=str(path), allowed=f"{classes}, as the data"
            )
        if config.bits is None:
            return saved.spec, saved.network
        spec = with_bits(saved.spec, config.bits)
        network = fresh_network(spec, config.seed)
        take_over(network, saved.network)
        return spec, network
    spec = NetworkSpec.load(path) if path.suffix in SPEC_SUFFIXES else find_spec(config.network)
    spec = replace(spec, classes=classes)
    if config.bits is not None:
        spec = with_bits(spec, config.bits)
    return spec, fresh_network(spec, config.seed)


def with_bits(spec: NetworkSpec, bits: BitsConfig) -> NetworkSpec:
    """Return ``spec`` with the bits of ``bits`` everywhere."""
    return spec.quantized(
        bits.weight, bits.activation, input_bits=bits.input, sum_bits=bits.sum, shared_sums=bits.shared_sums
    )


def fresh_network(spec: NetworkSpec, seed: int) -> nn.Module:
    """Build ``spec`` with weights drawn from ``seed``; torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(spec)


def take_over(network: nn.Module, other: nn.Module) -> None:
    """Copy weights, biases and batch normalization of ``other`` into ``network``; quantizers are not copied.

    Both are of one architecture; their bits may differ.
    """
    own = network.state_dict()
    given = {name: value for name, value in other.state_dict().items() if name in own and "quant" not in name}
    network.load_state_dict({**own, **given})
