"""Saved models: one safetensors file with weights, specification, labels and metrics. Loading executes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bacalhaunet.errors import ModelFileError, SpecError
from bacalhaunet.models.network import Network, build_network
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.outputs import whole_file

FORMAT, FORMAT_VERSION = "bacalhaunet", "1"


@dataclass(frozen=True)
class SavedModel:
    """What a file holds.

    Attributes:
        spec: The network's specification.
        network: The network with its weights, in evaluation mode.
        labels: Class names by logit.
        metrics: Figures measured when it was saved.
    """

    spec: NetworkSpec
    network: Network
    labels: tuple[str, ...]
    metrics: Mapping[str, Any]


def save_model(
    path: str | os.PathLike[str],
    network: nn.Module,
    *,
    spec: NetworkSpec,
    labels: Sequence[str],
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write a network, whole or not at all.

    Args:
        path: The file; ``.safetensors``.
        network: Built from ``spec``. Pruned weights are the zeros among its weights.
        spec: Its specification.
        labels: Class names by logit.
        metrics: Figures to keep with it; plain JSON values.
    """
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "spec": spec.to_json(),
        "labels": json.dumps(list(labels)),
        "metrics": json.dumps(dict(metrics or {})),
    }
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with whole_file(path) as partial:
        save_file(state, partial, metadata)


def load_model(path: str | os.PathLike[str]) -> SavedModel:
    """Read a saved model.

    Raises:
        ModelFileError: If the file is missing, damaged, of another program or does not fit its own specification.
    """
    where = str(path)
    if not Path(path).is_file():
        raise ModelFileError("there is no such file", where=where)
    try:
        with safe_open(where, "pt") as file:
            metadata = file.metadata() or {}
            state: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"not a whole safetensors file: {error}", where=where) from error
    if metadata.get("format") != FORMAT or metadata.get("format_version") != FORMAT_VERSION:
        found = f"{metadata.get('format')} {metadata.get('format_version')}"
        raise ModelFileError(f"the file's format is {found}", where=where, allowed=f"{FORMAT} {FORMAT_VERSION}")
    try:
        spec = NetworkSpec.from_json(metadata["spec"])
        labels = tuple(json.loads(metadata["labels"]))
        metrics = json.loads(metadata["metrics"])
    except (KeyError, ValueError, TypeError, SpecError) as error:
        raise ModelFileError(f"the metadata are damaged: {error}", where=where) from error
    with torch.random.fork_rng(devices=[]):
        network = build_network(spec)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelFileError(f"the weights do not fit the specification: {error}", where=where) from error
    return SavedModel(spec, network.eval(), labels, metrics)
