"""The cost of anything that names a network: a file, a spec, a saved model, a catalog name, a graph in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Union

from bacalhaunet.cost.analytic import spec_cost
from bacalhaunet.cost.report import CostReport
from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.models.spec import NetworkSpec

if TYPE_CHECKING:
    from onnx import ModelProto

    from bacalhaunet.models.saved import SavedModel

Target = Union[str, "os.PathLike[str]", NetworkSpec, "SavedModel", "ModelProto"]
_SPEC_SUFFIXES = (".yaml", ".yml", ".json")


def cost_of(target: Target, *, bits: int | None = None) -> CostReport:
    """Return the official cost of a network.

    Args:
        target: An ONNX file, a saved model (.safetensors), a spec (.yaml, .json), a shipped or catalog name, or one of
            these in memory: ``ModelProto``, ``SavedModel``, ``NetworkSpec``.
        bits: For a catalog name or a spec: quantize weights, activations and sums to this many bits, the input to 8.

    Returns:
        For an ONNX graph what qonnx counts; otherwise the same by arithmetic, with the zeros of a saved model.

    Raises:
        ConfigError: If ``bits`` is given for a network whose bits are fixed.
        ModelFileError: If a file is missing or damaged, a name unknown, or there is no layer to charge for.
        SpecError: If the spec cannot be built with these bits.
    """
    if isinstance(target, NetworkSpec):
        return spec_cost(target if bits is None else quantize(target, bits))
    if isinstance(target, str | os.PathLike):
        return _cost_of_name(os.fspath(target), bits)
    if bits is not None:
        raise ConfigError(f"{bits} bits for a network whose bits are fixed", allowed="a catalog name or a spec")
    if hasattr(target, "graph"):
        from bacalhaunet.cost.metric import metric_cost

        return metric_cost(target)
    return _saved_cost(target)


def quantize(spec: NetworkSpec, bits: int) -> NetworkSpec:
    """Return a spec with weights, activations and residual sums of ``bits`` bits and an input of 8."""
    return spec.quantized(bits, bits, input_bits=8, sum_bits=bits)


def _cost_of_name(name: str, bits: int | None) -> CostReport:
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix in (*_SPEC_SUFFIXES, ".onnx", ".safetensors") and not path.is_file():
        raise ModelFileError(
            "the network file does not exist" if not path.is_dir() else "a folder is not a network file",
            where=name,
            action="check the path; 'bacalhaunet models' lists the networks that go by name",
        )
    if suffix in _SPEC_SUFFIXES:
        return cost_of(NetworkSpec.load(path), bits=bits)
    if suffix in (".onnx", ".safetensors"):
        if bits is not None:
            raise ConfigError(f"--bits {bits} for a file whose bits are fixed", where=name, allowed="a catalog name")
        return _file_cost(path)
    if path.is_file():
        raise ModelFileError(
            f"a file ending in {suffix or 'nothing'!r} is not a network",
            where=name,
            allowed=f"{', '.join(_SPEC_SUFFIXES)}, .onnx, .safetensors or a network's name",
        )
    from bacalhaunet.models.catalog import find_spec
    from bacalhaunet.models.shipped_networks import shipped_networks

    if name in shipped_networks():
        return _cost_of_name(str(shipped_networks()[name].model), bits)
    return cost_of(find_spec(name), bits=bits)


def _file_cost(path: Path) -> CostReport:
    if path.suffix.lower() == ".onnx":
        from bacalhaunet.cost.metric import metric_cost
        from bacalhaunet.models.onnx_files import read_onnx

        return metric_cost(read_onnx(path), str(path))
    from bacalhaunet.models.saved import load_model

    return _saved_cost(load_model(path))


def _saved_cost(saved: SavedModel) -> CostReport:
    from bacalhaunet.cost.analytic import nonzero_weights

    return spec_cost(saved.spec, nonzero_weights(saved.network, saved.spec))
