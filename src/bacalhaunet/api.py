"""The front door's functions that need torch: load, train, compress, export.

    data = bacalhaunet.datasets.Arrays(frames, labels, names)
    run = bacalhaunet.train("bacalhaunet", data, bits=6, epochs=10)
    run.evaluate(data.test).accuracy
    small = bacalhaunet.compress(run.network, data, target_score=0.016)
    bacalhaunet.export(small, "small.onnx")

A network of the front door is a torch module that carries what it is, ``network.spec``, ``network.classes`` and
``network.metrics``, so that every function takes the module alone.
"""

from __future__ import annotations

import html
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhaunet.classify.calibration import KEY as CALIBRATION
from bacalhaunet.classify.calibration import calibration_entry
from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.evaluation import evaluate as evaluate_engine
from bacalhaunet.compression.config import CompressConfig
from bacalhaunet.compression.pipeline import compress as compress_in
from bacalhaunet.cost.of import cost_of
from bacalhaunet.data.dataset import Dataset, Frames, open_dataset
from bacalhaunet.deploy.export import Export, Format
from bacalhaunet.deploy.export import export as export_calibrated
from bacalhaunet.deploy.networks import AnyNetwork
from bacalhaunet.errors import ConfigError, suggestion
from bacalhaunet.models.network import Network
from bacalhaunet.models.resolve import MODEL_FILE, resolve_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.training.config import BitsConfig, TrainConfig
from bacalhaunet.training.run import train as train_in
from bacalhaunet.training.run_data import training_data

if TYPE_CHECKING:
    from bacalhaunet.data.evaluation import Evaluation


@dataclass(frozen=True)
class Run:
    """What a training or a compression left.

    Attributes:
        network: The network with the weights that were chosen on validation, a torch module in evaluation mode.
        data: What it was trained on.
        folder: Settings, checkpoints, curve and ``model.safetensors``, as the command line leaves them.
        curve: (frames trained, validation accuracy from 0 to 1) in order; after a compression, of its last training.
    """

    network: Network
    data: Dataset
    folder: Path
    curve: tuple[tuple[int, float], ...]

    def evaluate(self, frames: Frames | None = None) -> Evaluation:
        """Return the accuracy on labelled frames, with its interval, by SNR and by class.

        Args:
            frames: For example ``data.validation``; None for the test part, which is read once for a reported figure.
        """
        chosen = self.data.test if frames is None else frames
        return evaluate_engine(open_engine(self.folder / MODEL_FILE), chosen.batches(), chosen.classes.names)

    def _repr_html_(self) -> str:
        """Show the run in a notebook: what it is, what it costs and how accurate it became."""
        rows = {
            "folder": str(self.folder),
            "network": f"{len(self.network.spec.blocks)} blocks, {self.network.spec.classes} classes",
            "score": f"{cost_of(self.folder / MODEL_FILE).score:.6f}",
            "validation accuracy": f"{100 * max(accuracy for _, accuracy in self.curve):.2f} %" if self.curve else "",
        }
        cells = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in rows.items())
        return f"<table>{cells}</table>"


def load(network: str | os.PathLike[str]) -> Network:
    """Return a trained network as a torch module, in evaluation mode.

    It maps float32 (batch, 2, length), I then Q, of unit power to logits (batch, classes).

    Args:
        network: The name of a shipped network, a saved model, or the folder of a run.

    Raises:
        SpecError: If no network has that name.
        ModelFileError: If its file is damaged, or it has no trained weights.

    Example:
        >>> network = load("lite")
        >>> network.spec.frame_length, len(network.classes), network.classes.names[3]
        (1024, 24, 'BPSK')
    """
    source = resolve_network(network, ("saved", "shipped"), "a trained network for torch")
    assert source.saved is not None
    loaded = load_model(source.saved).network
    if source.card is not None and CALIBRATION in source.card:  # a shipped network's is kept on its card
        loaded.metrics[CALIBRATION] = source.card[CALIBRATION]
    return loaded


def train(
    network: str | os.PathLike[str] | Network | Run = "bacalhaunet",
    data: str | os.PathLike[str] | Dataset = "twin",
    *,
    bits: int | BitsConfig | None = None,
    epochs: int = 10,
    folder: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Run:
    """Train a network on labelled frames of any classes and length.

    Args:
        network: The name of an architecture, a specification, or a trained network to go on from.
        data: A data set, or what ``open_dataset`` opens: a file, a folder, "twin" or "field".
        bits: Of weights, activations and residual sums, the input has 8; None keeps the network's.
        epochs: Passes through the training frames, or through 102,400 generated ones.
        folder: Where the run lies; one that was interrupted goes on. None makes a temporary folder.
        settings: Any other setting of ``TrainConfig``: ``seed``, ``optimizer``, ``distillation``, ... Batches have 1024
            frames, or so few that an epoch has eight of them, unless ``batch_size`` says otherwise.

    Raises:
        ConfigError: If a setting is out of range or the folder was begun with other settings.
        DatasetError: If the data cannot be used.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(1)
        >>> labels = np.arange(400) % 2
        >>> frames = rng.normal(0, 1, (400, 2, 64)).astype(np.float32) * (1 + labels[:, None, None])
        >>> from bacalhaunet.data.datasets import Arrays
        >>> data = Arrays(frames, labels, ("quiet", "loud"))
        >>> run = train("first-experiment", data, bits=6, epochs=2)
        >>> run.network.classes.names, run.evaluate(data.test).frames == len(data.test)
        (('quiet', 'loud'), True)
    """
    dataset, place = open_dataset(data), _place(folder)
    bits = BitsConfig(bits, bits, 8, bits) if isinstance(bits, int) else bits
    _check_names(settings, TrainConfig, "train")
    settings.setdefault("batch_size", _batch_size(dataset))
    config = TrainConfig(network=_named(network, place), bits=bits, epochs=epochs, **settings)
    train_in(config, place, data=training_data(config, dataset))
    return _run(place, dataset)


def compress(
    network: str | os.PathLike[str] | Network | Run,
    data: str | os.PathLike[str] | Dataset = "twin",
    *,
    target_score: float | None = None,
    min_accuracy: float | None = None,
    folder: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Run:
    """Make a network cheaper: fewer bits, bits by layer, pruning, with training after each.

    Args:
        network: What to start from, as for ``train``.
        data: As for ``train``.
        target_score: The inference cost score to reach. Either this or ``min_accuracy``.
        min_accuracy: Validation accuracy to keep, 0 to 1, while bits and weights go.
        folder: Where the run lies; one that was interrupted goes on. None makes a temporary folder.
        settings: Any other setting of ``CompressConfig``; ``batch_size`` as for ``train``.

    Raises:
        ConfigError: If the target cannot be reached, or not exactly one of the two is given.

    Example:
        >>> import numpy as np
        >>> from bacalhaunet.data.datasets import Arrays
        >>> frames = np.random.default_rng(1).normal(0, 1, (400, 2, 64)).astype(np.float32)
        >>> data = Arrays(frames, np.arange(400) % 2, ("these", "those"))
        >>> start = train("first-experiment", data, bits=6, epochs=1)
        >>> target = 0.8 * cost_of(start.network).score
        >>> small = compress(start.network, data, target_score=target, bits=(), bits_epochs=1, prune_epochs=1)
        >>> cost_of(small.network).score <= target
        True
    """
    dataset, place = open_dataset(data), _place(folder)
    _check_names(settings, CompressConfig, "compress")
    settings.setdefault("batch_size", _batch_size(dataset))
    config = CompressConfig(
        network=_named(network, place), target_score=target_score, min_accuracy=min_accuracy, **settings
    )
    compress_in(config, place, data=training_data(config.training(config.network, 1), dataset))
    return _run(place, dataset)


def export(
    network: AnyNetwork,
    path: str | os.PathLike[str],
    format: Format = "qonnx",
    *,
    dynamic_batch: bool = False,
) -> Export:
    """Write a network as ONNX with its calibration, compared with torch before the file appears.

    Arguments and errors are those of ``deploy.export.export``, which leaves the calibration out.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = export("lite", Path(folder) / "lite.onnx")
        >>> written.parity.same_class == written.parity.frames
        True
    """
    if isinstance(network, str | os.PathLike):
        calibration = calibration_entry(os.fspath(network))
    else:  # a network in memory, or a run that holds one
        calibration = calibration_entry(getattr(getattr(network, "network", network), "metrics", {}))
    return export_calibrated(network, path, format, dynamic_batch=dynamic_batch, metadata=calibration)


def _check_names(settings: Mapping[str, Any], config: type[Any], function: str) -> None:
    """Raise where ``function`` is given a setting that there is not."""
    known = [field.name for field in fields(config)]
    for name in settings:
        if name not in known:
            raise ConfigError(
                f"{function} has no setting {name!r}",
                allowed=", ".join(known),
                action=suggestion(name, known) or f"help(bacalhaunet.{function}) explains them",
            )


def _batch_size(data: Dataset) -> int:
    """Return 1024, or the largest power of two of which an epoch has eight batches."""
    return min(1024, 1 << max(0, (len(data.train) // 8).bit_length() - 1))


def _place(folder: str | os.PathLike[str] | None) -> Path:
    return Path(tempfile.mkdtemp(prefix="bacalhaunet-")) if folder is None else Path(folder)


def _named(network: str | os.PathLike[str] | Network | Run, folder: Path) -> str:
    """Return the name by which a run knows a network; one in memory is written into the run's folder."""
    network = network.network if isinstance(network, Run) else network
    if not isinstance(network, Network):
        return os.fspath(network)
    if network.classes is None:
        raise ConfigError(
            "the network does not say which classes its logits mean",
            allowed="a network of load, train or compress",
            action="set network.classes to a ClassSet",
        )
    path = folder / "start.safetensors"
    save_model(path, network, network.spec, network.classes, network.metrics)
    return str(path)


def _run(folder: Path, data: Dataset) -> Run:
    curves = sorted(folder.rglob("curve.json"), key=lambda path: path.stat().st_mtime)
    points = json.loads(curves[-1].read_text(encoding="utf-8")) if curves else []
    curve = tuple((int(point["frames"]), float(point["validation_accuracy"])) for point in points)
    return Run(load_model(folder / MODEL_FILE).network, data, folder, curve)
