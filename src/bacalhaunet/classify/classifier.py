"""A network that names frames, with scikit-learn's words; it needs no torch.

>>> import numpy as np
>>> lite = open_classifier("lite")
>>> frames = np.random.default_rng(1).standard_normal((3, 2, lite.frame_length)).astype(np.float32)
>>> lite.predict(frames).shape, lite.predict_proba(frames).shape
((3,), (3, 24))
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration, read_calibration
from bacalhaunet.classify.engines import Engine, open_engine
from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.models.onnx_metadata import read_classes, read_entries, saved_entries
from bacalhaunet.models.resolve import network_title, require_trained
from bacalhaunet.models.shipped_networks import default_network, shipped_networks
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import classes_named


class Classifier:
    """A network ready to name frames: frames -> logits -> calibrated probabilities.

    Args:
        engine: What computes the network.
        calibration: What turns logits into probabilities; None for what the network's file says.

    Attributes:
        engine: What computes the network.
        classes: The network's classes.
        calibration: What turns logits into probabilities.

    Raises:
        ModelFileError: If the network's calibration is damaged.
    """

    def __init__(self, engine: Engine, calibration: Calibration | None = None) -> None:
        self.engine, self.classes = engine, network_classes(engine)
        self.calibration = calibration or read_calibration(engine.target)

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The names of the classes, in the order of ``predict_proba``'s columns."""
        return np.array(self.engine.labels)

    @property
    def groups_(self) -> NDArray[np.str_]:
        """The groups of classes that are easily taken for each other, in order of their first class."""
        return np.array(self.classes.groups)

    @property
    def frame_length(self) -> int:
        """Complex samples of a frame."""
        return self.engine.frame_length

    def predict(self, frames: NDArray[np.generic]) -> NDArray[np.str_]:
        """Return the name of the most probable class of each frame, (n,); frames as of ``predict_proba``."""
        return np.asarray(self.classes_[self.predict_proba(frames).argmax(axis=1)])

    def predict_proba(self, frames: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the probability of each class for each frame, float32 (n, classes); the rows sum to 1.

        Args:
            frames: Real (n, 2, frame_length), I then Q, or complex (n, frame_length), in the scale of the frames that
                the network learnt; ``classify`` also scales. They are taken one by one: an answer does not depend on
                the other frames.

        Raises:
            ConfigError: If they are of another shape or type.
            ModelFileError: If the network gives values that are not finite.
        """
        return self.calibration.probabilities(self.logits(_real(frames, self.frame_length)))

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network gives for float32 (n, 2, frame_length): float32 (n, classes).

        Raises:
            ModelFileError: If it gives values that are not finite.
        """
        logits = self.engine.logits(frames)
        if not np.isfinite(logits).all():
            raise ModelFileError(
                "the network gives values that are not finite",
                where=self.engine.target,
                action="check the network's weights: export or copy it again",
            )
        return logits

    def __repr__(self) -> str:
        """Name the network and what computes it."""
        name = network_title(self.engine.target)
        return f"<Classifier {name}: {len(self.engine.labels)} classes, computed by {self.engine.name}>"


def open_classifier(
    network: str | os.PathLike[str] | None = None, engine: str = "auto", *, threads: int | None = None
) -> Classifier:
    """Open a network by name or file, ready to name frames.

    Args:
        network: The name of a shipped network, an ONNX file or a saved model; None for the shipped network that is
            made for signals on the air. Saved models need torch.
        engine: What computes it: ``auto`` (the fastest that computes it exactly), ``native``, ``onnxruntime`` or
            ``torch``.
        threads: CPU threads; None for all cores.

    Raises:
        ConfigError: If the engine is unknown or cannot open this kind of network.
        ModelFileError: If the network does not exist, is damaged or has no trained weights.
        SpecError: If no network has that name.
        MissingExtraError: If it needs packages of an extra that is not installed.

    Example:
        >>> lite = open_classifier("lite")
        >>> [str(name) for name in lite.classes_[:3]], lite.frame_length
        (['OOK', '4ASK', '8ASK'], 1024)
        >>> [str(name) for name in lite.groups_]
        ['ASK', 'PSK', 'QAM/APSK', 'SSB', 'AM', 'FM', 'GMSK']
    """
    name = default_network(shipped_networks()) if network is None else os.fspath(network)
    require_trained(name)
    return Classifier(open_engine(name, engine, threads=threads))


def as_classifier(network: Engine | Classifier) -> Classifier:
    """Return a classifier as it is, and an engine as a classifier with the calibration that its file says."""
    return network if isinstance(network, Classifier) else Classifier(network)


def network_classes(engine: Engine) -> ClassSet:
    """Return the classes of a network, with the groups that its file says.

    Raises:
        ModelFileError: If the file's entries are damaged.
    """
    path = Path(engine.target)
    entries: dict[str, str] = {}
    if path.is_file() and path.suffix.lower() == ".onnx":
        entries = read_entries(path.read_bytes())
    elif path.is_file() and path.suffix.lower() == ".safetensors":
        entries = saved_entries(path)
    stored = read_classes(entries, str(path))
    return stored if stored is not None and stored.names == engine.labels else classes_named(engine.labels)


def _real(frames: NDArray[np.generic], frame_length: int) -> NDArray[np.float32]:
    """Return frames as float32 (n, 2, frame_length)."""
    array = np.asarray(frames)
    if array.ndim == 2 and array.dtype.kind == "c":
        array = np.stack([array.real, array.imag], axis=1)
    if array.ndim != 3 or array.shape[1:] != (2, frame_length) or array.dtype.kind not in "fiu":
        raise ConfigError(
            f"frames of shape {np.shape(frames)} and type {np.asarray(frames).dtype}",
            allowed=f"real (n, 2, {frame_length}), I then Q, or complex (n, {frame_length})",
        )
    return np.ascontiguousarray(array, dtype=np.float32)
