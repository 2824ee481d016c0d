"""Saved models: weights as safetensors with the specification, classes and metrics in the header.

Loading reads numbers and JSON and executes nothing. Pruned weights are zeros; they need no masks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bacalhaunet import __version__
from bacalhaunet.errors import ModelFileError, SpecError
from bacalhaunet.models.network import Network, build_network
from bacalhaunet.models.onnx_metadata import class_entries, read_classes
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.outputs import whole_file
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import classes_named

FORMAT, FORMAT_VERSION = "bacalhaunet model", 1
_MADE_BY = "save_model, 'bacalhaunet train' or 'bacalhaunet prune'"


@dataclass(frozen=True)
class SavedModel:
    """What a saved model holds.

    Attributes:
        spec: What the network is.
        network: The network with its weights, in evaluation mode.
        classes: The class of each logit.
        metrics: What was measured of it, and how it was made; plain JSON values.
    """

    spec: NetworkSpec
    network: Network
    classes: ClassSet
    metrics: dict[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names by logit."""
        return self.classes.names


def save_model(
    path: str | os.PathLike[str],
    network: nn.Module,
    spec: NetworkSpec,
    classes: ClassSet | Sequence[str],
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write a network's weights with its specification, whole or not at all.

    Args:
        path: The file, by convention ``.safetensors``.
        network: A network built from ``spec``; it is not changed.
        spec: Its specification.
        classes: The class of each logit; names alone have the groups of RadioML's classes where these are called so.
        metrics: Values JSON can hold.

    Raises:
        ModelFileError: If the classes or weights do not belong to the specification.
    """
    classes = classes if isinstance(classes, ClassSet) else classes_named(classes)
    if len(classes) != spec.classes:
        raise ModelFileError(f"{len(classes)} labels for {spec.classes} classes", where=str(path))
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    _check_state(state, _expected_state(spec), str(path))
    header = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "bacalhaunet_version": __version__,
        "spec": spec.to_json(),
        **class_entries(classes),
        "metrics": json.dumps(dict(metrics or {})),
    }
    with whole_file(path) as partial:
        partial.write_bytes(_in_order(save(state, metadata=header)))


def _in_order(data: bytes) -> bytes:
    """Return a safetensors file with its metadata in alphabetical order: the same model then gives the same bytes.

    A file is the header's length (8 bytes, little-endian), the header (JSON, padded with spaces), the tensors.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def load_model(path: str | os.PathLike[str]) -> SavedModel:
    """Read a saved model.

    Raises:
        ModelFileError: If the file is missing, damaged, of another kind or of a later format, or its weights do not
            belong to its specification.
    """
    where = str(path)
    if not Path(path).is_file():
        raise ModelFileError("the saved model does not exist", where=where, action="check the path")
    header, state = _read(where)
    spec = _read_spec(header, where)
    classes, metrics = read_classes(header, where), _read_json(header, "metrics", dict, where)
    if classes is None or len(classes) != spec.classes:
        found = 0 if classes is None else len(classes)
        raise ModelFileError(f"{found} labels for {spec.classes} classes", where=where)
    _check_state(state, _expected_state(spec), where)
    # The weights are overwritten: drawing them must not advance the caller's generator.
    with torch.random.fork_rng(devices=[]):
        network = build_network(spec)
    network.load_state_dict(state)
    network.classes, network.metrics = classes, metrics
    return SavedModel(spec, network.eval(), classes, metrics)


def _read(where: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(where, framework="pt") as file:
            header = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ModelFileError(
            f"not a saved model, or damaged: {error}",
            where=where,
            allowed=f"a safetensors file written by {_MADE_BY}",
            action="copy or save it again",
        ) from error
    if header.get("format") != FORMAT:
        raise ModelFileError(
            "a safetensors file of another program", where=where, allowed=f"a file written by {_MADE_BY}"
        )
    if header.get("format_version") != str(FORMAT_VERSION):
        raise ModelFileError(
            f"format version {header.get('format_version')}",
            where=where,
            allowed=f"version {FORMAT_VERSION}",
            action="update bacalhaunet, or save the model again with this version",
        )
    return header, state


def _read_spec(header: Mapping[str, str], where: str) -> NetworkSpec:
    try:
        return NetworkSpec.from_json(header.get("spec", ""))
    except SpecError as error:
        raise ModelFileError(f"the specification in the file cannot be built: {error.problem}", where=where) from error


def _read_json(header: Mapping[str, str], key: str, kind: type, where: str) -> Any:
    try:
        value = json.loads(header.get(key, ""))
    except json.JSONDecodeError as error:
        raise ModelFileError(f"the {key} in the file are damaged: {error}", where=where) from error
    if not isinstance(value, kind):
        raise ModelFileError(f"the {key} in the file are {value!r}", where=where, allowed=f"a {kind.__name__}")
    return value


def _expected_state(spec: NetworkSpec) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        return build_network(spec).state_dict()


def _check_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str) -> None:
    """Raise unless names, shapes, types and finiteness of the weights are those of the specification."""
    for problem, names in (("lacks", expected.keys() - state.keys()), ("also has", state.keys() - expected.keys())):
        if names:
            raise ModelFileError(f"the model {problem} {', '.join(sorted(names)[:4])}", where=where)
    for name, value in state.items():
        wanted = expected[name]
        if value.shape != wanted.shape or value.dtype != wanted.dtype:
            raise ModelFileError(
                f"{name} is {value.dtype} {tuple(value.shape)}",
                where=where,
                allowed=f"{wanted.dtype} {tuple(wanted.shape)}, as the specification says",
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModelFileError(f"{name} holds a value that is not finite", where=where)
