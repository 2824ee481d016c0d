"""Trained networks as ONNX files: QONNX for hardware flows and the cost metric, QCDQ for plain ONNX runtimes.

The graph holds the whole network, pre-processing included: clip, input quantizer and batch normalization. It takes raw
frames, float32 (batch, 2, length), and gives logits. It is verified against torch before the file is written.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from bacalhaunet import __version__
from bacalhaunet.deploy.integer.stored import with_program
from bacalhaunet.deploy.networks import UNTRAINED_SEED, AnyNetwork, open_network
from bacalhaunet.deploy.onnx_lowering import free_batch
from bacalhaunet.deploy.parity import Parity, check_parity, probe_frames
from bacalhaunet.errors import ConfigError, MissingExtraError, ModelFileError, how_to_install
from bacalhaunet.models.onnx_files import constants_to_initializers
from bacalhaunet.models.onnx_metadata import class_entries, class_names
from bacalhaunet.outputs import whole_file
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import classes_named

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

Format = Literal["qonnx", "qcdq"]
FORMATS: tuple[str, ...] = get_args(Format)
INPUT, OUTPUT = "frames", "logits"
_OPSET = 13
_NORMALIZATION = {
    "input": "raw frames as in RadioML 2018.01A, unit average power; no scaling before the network",
    "layout": "float32 (batch, 2, length), I then Q",
    "inside": "clip, input quantizer and batch normalization are nodes of the graph",
}


@dataclass(frozen=True)
class Export:
    """A written file.

    Attributes:
        path: The file.
        format: ``"qonnx"`` or ``"qcdq"``.
        parity: How it compared with torch.
    """

    path: Path
    format: str
    parity: Parity


def export(
    network: AnyNetwork,
    path: str | os.PathLike[str],
    format: Format = "qonnx",
    *,
    dynamic_batch: bool = False,
    metadata: dict[str, str] | None = None,
) -> Export:
    """Write a network as ONNX, compared with torch before it is written.

    Args:
        network: A name, a saved model, the folder of a run, a specification, or a torch module that carries its own.
        path: The file; whole or absent.
        format: ``"qonnx"``, Quant nodes of any bit width, for hardware flows and the cost metric; or ``"qcdq"``,
            QuantizeLinear, Clip and DequantizeLinear of at most 8 bits, which onnxruntime computes as it was trained
            with ``session.disable_quant_qdq=1``.
        dynamic_batch: Leave the batch free; otherwise it is 1.
        metadata: More entries for the file's metadata.

    Raises:
        ConfigError: If the format is unknown, or the path does not end in ``.onnx``.
        ModelFileError: If a file is missing, damaged, or an ONNX file already.
        ParityError: If the file does not compute what torch computes; nothing is written then.
        MissingExtraError: If packages of the extra ``train`` are missing.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = export("lite", Path(folder) / "lite.onnx")
        >>> written.parity.same_class == written.parity.frames
        True
    """
    if Path(path).suffix.lower() != ".onnx":
        raise ConfigError(f"the output is {os.fspath(path)!r}", allowed="a name ending in .onnx")
    opened = open_network(network, quiet=True)
    seed = {} if opened.trained else {"untrained_seed": str(UNTRAINED_SEED)}
    return export_network(
        opened.network,
        path,
        format,
        spec=opened.spec,
        classes=opened.classes,
        dynamic_batch=dynamic_batch,
        metadata=seed | (metadata or {}),
    )


def export_network(
    network: nn.Module,
    path: str | os.PathLike[str],
    format: Format = "qonnx",
    *,
    spec: Any = None,
    classes: ClassSet | Sequence[str] | None = None,
    frame_length: int | None = None,
    dynamic_batch: bool = False,
    metadata: dict[str, str] | None = None,
) -> Export:
    """Write a network as ONNX, verified.

    Args:
        network: Maps float32 (batch, 2, length) to logits (batch, classes). It is left as it was.
        path: The file; whole or absent.
        format: ``"qonnx"`` or ``"qcdq"``. A float network gives the same plain graph in both.
        spec: Its ``NetworkSpec``, kept in the file's metadata.
        classes: The class of each logit, kept in the metadata; None for RadioML's 24, or "class 0", "class 1" ...
        frame_length: Complex samples of a frame; None for the specification's.
        dynamic_batch: Leave the batch free; otherwise it is 1.
        metadata: More entries for the metadata.

    Raises:
        ConfigError: If the format is unknown, or there is neither a specification nor a frame length.
        ModelFileError: If there is not one label for each class.
        ParityError: If the file does not compute what torch computes; nothing is written then.
        MissingExtraError: If packages of the extra ``train`` are missing.
    """
    if format not in FORMATS:
        raise ConfigError(f"no export format is called {format!r}", allowed=", ".join(FORMATS))
    spec = spec or getattr(network, "spec", None)
    if frame_length is None and spec is None:
        raise ConfigError("a network without a specification, and no frame length for it")
    frame_length = frame_length or spec.frame_length
    model = trace(network, format, frame_length)
    count = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    classes = class_names(count) if classes is None else classes
    classes = classes if isinstance(classes, ClassSet) else classes_named(classes)
    if len(classes) != count:
        raise ModelFileError(f"{len(classes)} labels for a network of {count} classes", where=str(path))
    if dynamic_batch:
        model = free_batch(model)
    entries = {
        **class_entries(classes),
        "normalization": json.dumps({**_NORMALIZATION, "frame_length": frame_length}),
        "format": format,
        "bacalhaunet_version": __version__,
        **({"spec": json.dumps(spec.to_dict())} if spec is not None else {}),
        **(metadata or {}),
    }
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
    return _write(network, model, Path(path), format, frame_length)


def _write(network: nn.Module, model: ModelProto, path: Path, format: str, frame_length: int) -> Export:
    import onnx

    onnx.checker.check_model(model)
    parity = check_parity(network, model, probe_frames(frame_length), str(path))
    with whole_file(path) as partial:
        partial.write_bytes(with_program(model.SerializeToString()))
    return Export(path, format, parity)


def trace(network: nn.Module, format: str, frame_length: int | None = None) -> ModelProto:
    """Return the graph of a network for a batch of one, constants as initializers, input and output by name.

    The TorchScript exporter is used: torch's newer one loses quantizers in residual sums (Brevitas issue 1608).

    Args:
        network: Maps float32 (batch, 2, length) to logits; it is left as it was.
        format: ``"qonnx"`` or ``"qcdq"``.
        frame_length: Complex samples of a frame; None for that of ``network.spec``.
    """
    try:
        with _quiet():
            import onnx
            import torch
            from brevitas.export import export_onnx_qcdq, export_qonnx

            from bacalhaunet.models.layers import compute_plainly
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"export needs the package {error.name}: {how_to_install('train')}") from error
    length: int = network.spec.frame_length if frame_length is None else frame_length  # type: ignore[union-attr,assignment]
    frame = torch.from_numpy(probe_frames(length, 1))
    options: dict[str, Any] = {
        "input_names": [INPUT],
        "output_names": [OUTPUT],
        "opset_version": _OPSET,
        "keep_initializers_as_inputs": False,
        "dynamo": False,
    }
    training = network.training
    network.eval()
    compute_plainly(network)  # the exporter knows Brevitas' quantizers, not the fast ones that training uses
    try:
        with tempfile.TemporaryDirectory() as folder, _quiet():
            file = str(Path(folder) / "traced.onnx")
            if not _is_quantized(network):
                torch.onnx.export(network, (frame,), file, **options)
            else:
                exporter = export_qonnx if format == "qonnx" else export_onnx_qcdq
                exporter(network, args=frame, export_path=file, **options)
            model = onnx.load(file)
    finally:
        compute_plainly(network, plain=False)
        network.train(training)
    constants_to_initializers(model.graph)
    return model


def _is_quantized(network: nn.Module) -> bool:
    from brevitas.proxy.quant_proxy import QuantProxyFromInjector

    return any(isinstance(module, QuantProxyFromInjector) for module in network.modules())


class _quiet(warnings.catch_warnings):  # noqa: N801
    """Keep the exporters' notes off standard error: nothing in them is for the user of a network."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *details: Any) -> None:
        logging.disable(self._level)
        super().__exit__(*details)
