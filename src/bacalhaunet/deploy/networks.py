"""Networks, opened in torch or as integer programs: what export, compile and engines start from.

A network is given by name or file, as ``models.resolve`` says, as a torch module, or as an object that holds one under
``network``, such as a saved model.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Union

from bacalhaunet.cost.of import quantize
from bacalhaunet.deploy.integer.stored import stored_program
from bacalhaunet.errors import ConfigError, MissingExtraError, ModelFileError, how_to_install
from bacalhaunet.models.onnx_metadata import class_names
from bacalhaunet.models.resolve import NetworkSource, resolve_network
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import classes_named

if TYPE_CHECKING:
    from torch import nn

    from bacalhaunet.deploy.integer.program import Program
    from bacalhaunet.models.spec import NetworkSpec

UNTRAINED_SEED = 2018
"""Seed of the weights of a network that nobody trained."""


@dataclass(frozen=True)
class OpenNetwork:
    """A network in torch.

    Attributes:
        network: Maps float32 (batch, 2, length) to logits (batch, classes); in evaluation mode.
        spec: What it is.
        classes: The class of each logit.
        trained: Whether its weights were trained, or drawn from a seed.
    """

    network: nn.Module
    spec: NetworkSpec
    classes: ClassSet
    trained: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names by logit."""
        return self.classes.names


class Holder(Protocol):
    """What holds a network in torch, as a saved model or a run does."""

    @property
    def network(self) -> nn.Module:
        """The network."""


AnyNetwork = Union[str, "os.PathLike[str]", NetworkSource, "nn.Module", Holder]
"""What a network can be given as."""


def open_network(
    network: AnyNetwork,
    *,
    bits: int | None = None,
    seed: int = UNTRAINED_SEED,
    quiet: bool = False,
) -> OpenNetwork:
    """Open a saved model or a shipped network, or build an architecture with weights drawn from a seed.

    Args:
        network: A saved model (.safetensors), the folder of a run, a specification (.yaml, .json), a name, or a torch
            module that ``build_network`` made.
        bits: Quantize an architecture's weights, activations and sums to this many bits, its input to 8.
        seed: Of the drawn weights.
        quiet: Leave out the warning that a network is not trained.

    Raises:
        ModelFileError: If a file is missing, damaged or an ONNX file, which torch cannot run.
        SpecError: If no network has that name.
        ConfigError: If ``bits`` is given for a trained network, whose bits are fixed.
    """
    if isinstance(network, OpenNetwork):
        return network
    if not isinstance(network, str | os.PathLike | NetworkSource):
        return _in_memory(network)
    source = network if isinstance(network, NetworkSource) else resolve_network(network)
    if source.saved is not None:
        from bacalhaunet.models.saved import load_model

        if bits is not None:
            raise ConfigError(f"--bits {bits} for a trained network, whose bits are fixed", where=source.name)
        saved = load_model(source.saved)
        return OpenNetwork(saved.network.eval(), saved.spec, saved.classes, trained=True)
    if source.kind == "onnx":
        raise ModelFileError(
            "torch cannot run an ONNX file",
            where=source.name,
            allowed="a saved model (.safetensors) or the name of a network",
            action="give the saved model that it was exported from",
        )
    return _untrained(source, bits, seed, quiet)


def _in_memory(network: Any) -> OpenNetwork:
    """Return a torch module that carries its specification, or that of an object that holds one."""
    module = getattr(network, "network", network)
    spec = getattr(module, "spec", None)
    if spec is None:
        raise ConfigError(
            f"a {type(network).__name__} that does not say what it is",
            allowed="a network of build_network or bacalhaunet.load, which has its specification as .spec",
        )
    classes = getattr(network, "classes", None) or getattr(module, "classes", None)
    return OpenNetwork(module, spec, classes or classes_named(class_names(spec.classes)), trained=True)


def _untrained(source: NetworkSource, bits: int | None, seed: int, quiet: bool) -> OpenNetwork:
    import torch

    from bacalhaunet.models.network import build_network

    spec = source.spec() if bits is None else quantize(source.spec(), bits)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(spec).eval()
    if not quiet:
        warnings.warn(
            f"{source.name} is an architecture without trained weights: they are drawn from seed {seed}", stacklevel=3
        )
    return OpenNetwork(network, spec, classes_named(class_names(spec.classes)), trained=False)


def integer_program(network: AnyNetwork) -> Program:
    """Return the integer program of a network: that of its ONNX file, else of one exported for the purpose.

    Args:
        network: An ONNX file, a saved model, the folder of a run, a specification, a name or a torch module.

    Raises:
        MissingExtraError: If a package of the train extra is needed and missing.
        UnsupportedOperationError: If the network has no integer form; says which node and what would mend it.

    Example:
        >>> program = integer_program("lite")
        >>> program.frame_length, program.classes
        (1024, 24)
    """
    if not isinstance(network, str | os.PathLike | NetworkSource):
        return _program_of_network(open_network(network), "a network in memory")
    source = network if isinstance(network, NetworkSource) else resolve_network(network)
    file = source.onnx or source.saved or source.spec_file
    stamp = file.stat().st_mtime_ns if file is not None else 0  # of another content, it is read again
    try:
        return _program_of_weights(source, stamp) if source.onnx is None else _program_of_file(str(source.onnx), stamp)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"lowering {source.name} needs the package {error.name}: {how_to_install('train')}"
        ) from error


@lru_cache(maxsize=4)
def _program_of_file(path: str, stamp: int) -> Program:
    stored = stored_program(path)
    if stored is not None:
        return stored
    from bacalhaunet.deploy.integer.lowering import lower_file

    return lower_file(path)


@lru_cache(maxsize=4)
def _program_of_weights(source: NetworkSource, stamp: int) -> Program:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _program_of_network(open_network(source, quiet=True), source.name)


def _program_of_network(opened: OpenNetwork, name: str) -> Program:
    from bacalhaunet.deploy.export import export_network

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_network(opened.network, path, spec=opened.spec, classes=opened.classes)
        return replace(_program_of_file(str(path), path.stat().st_mtime_ns), source=name)
