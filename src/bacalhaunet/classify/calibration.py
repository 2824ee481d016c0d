r"""How sure a network may be: a temperature and a correlation of frames, kept in the network's file.

.. math:: p_k = \frac{e^{z_k / T}}{\sum_j e^{z_j / T}}, \qquad T = T_0 e^{r H(z)}, \qquad
          P_k \propto \exp\left( \frac{n_e}{n} \sum_{i=1}^n \log p_{k,i} \right), \quad
          n_e = \frac{n}{1 + (n - 1) \rho}

`T` makes a frame's largest probability the share of right labels among such frames (temperature scaling: Guo, Pleiss,
Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, section 4). It rises with the entropy `H` of
the network's own probabilities (over that of none at all, 0 to 1), since one temperature cannot fit frames far below
the noise and clear ones (Balanya, Maronas and Ramos, "Adaptive temperature scaling for robust calibration of deep
neural networks", 2022). Frames of one signal err together; n of them with intraclass correlation `\rho` count as `n_e`
independent ones (Kish, Survey Sampling, 1965, section 5.4), between the product of the frames' probabilities (`\rho` =
0) and their geometric mean (`\rho` = 1). No frame's label changes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.models.onnx_metadata import read_entries, saved_entries, with_entry
from bacalhaunet.models.resolve import run_model
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.outputs import whole_file

KEY = "calibration"
"""Name of the entry in an ONNX file's metadata, in a saved model's metrics and in a card."""

_FITTED = ("temperature", "rise", "correlation")
_DEFAULT_CORRELATION = 0.5
"""For networks that nobody calibrated: any number of frames counts as two at most."""


@dataclass(frozen=True)
class Calibration:
    """What turns logits into probabilities.

    Attributes:
        temperature: T of a frame without doubt, 0.01 to 100; 1 where nothing was fitted.
        rise: r above, -5 to 10; 0 for the same temperature of all frames.
        correlation: Intraclass correlation of the frames of one signal, 0 to 1.
        measured: What was measured when they were fitted; plain JSON values, empty where nothing was.
    """

    temperature: float = 1.0
    rise: float = 0.0
    correlation: float = _DEFAULT_CORRELATION
    measured: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Check the ranges; NaN fails every check."""
        for name, value, low, high in (
            ("temperature", self.temperature, 0.01, 100),
            ("rise of the temperature", self.rise, -5, 10),
            ("correlation", self.correlation, 0, 1),
        ):
            if not low <= value <= high:
                raise ConfigError(f"the {name} is {value}", allowed=f"{low} to {high}")

    def scaled(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Return logits (..., classes) divided by their temperature, of the same type."""
        if self.rise:
            temperatures = self.temperature * np.exp(self.rise * entropy(logits))
            return np.asarray(logits / temperatures[..., None].astype(logits.dtype))
        return logits if self.temperature == 1 else logits * logits.dtype.type(1 / self.temperature)

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (n, classes): the probabilities of logits (n, classes)."""
        scaled = self.scaled(logits)
        powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)

    def independent_frames(self, frames: float) -> float:
        """Return how many independent frames so many frames of one signal count as, at least 1."""
        return max(frames, 1.0) / (1 + (max(frames, 1.0) - 1) * self.correlation)

    def to_dict(self) -> dict[str, Any]:
        """Return the value of the entry, for a saved model's metrics or a card."""
        fitted = {name: getattr(self, name) for name in _FITTED}
        return {**fitted, **self.measured}


def entropy(logits: NDArray[Any]) -> NDArray[Any]:
    r"""Return `-\sum_k p_k \log p_k / \log K` of the softmax p of logits (..., K): 0 to 1, of shape (...)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(axis=-1)
    nats = np.log(total) - np.einsum("...k,...k->...", powers, shifted) / total
    return np.asarray(nats / np.log(max(logits.shape[-1], 2)))


def calibration_of(value: Any, where: str) -> Calibration:
    """Return the calibration that ``to_dict`` gave.

    Raises:
        ModelFileError: If it is none.
    """
    if not isinstance(value, Mapping) or not all(_is_number(value.get(name)) for name in _FITTED):
        raise ModelFileError(
            f"the calibration is {str(value)[:100]!r}",
            where=where,
            allowed=f"an object with the numbers {', '.join(_FITTED)}",
            action="calibrate the network again: bacalhaunet calibrate",
        )
    measured = {name: item for name, item in value.items() if name not in _FITTED}
    try:
        return Calibration(**{name: float(value[name]) for name in _FITTED}, measured=measured)
    except ConfigError as error:
        raise ModelFileError(error.problem, where=where, allowed="what 'bacalhaunet calibrate' writes") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_calibration(target: str) -> Calibration:
    """Return what a network's file says, or the card of a shipped one; ``Calibration()`` where nothing was fitted.

    Args:
        target: An ONNX file, a saved model, the folder of a run, or the name of a network.

    Raises:
        ModelFileError: If the entry is damaged.
    """
    shipped = shipped_networks().get(target)
    if shipped is not None and KEY in shipped.card:
        return calibration_of(shipped.card[KEY], f"the card of {target}")
    path = shipped.onnx if shipped is not None else Path(target)
    path = (run_model(path) or path) if path.is_dir() else path
    stored: Any = None
    if path.suffix.lower() == ".onnx" and path.is_file():
        text = read_entries(path.read_bytes()).get(KEY)
        stored = None if text is None else _parsed(text, str(path))
    elif path.suffix.lower() == ".safetensors" and path.is_file():
        stored = _saved_metrics(path).get(KEY)
    return Calibration() if stored is None else calibration_of(stored, str(path))


def calibration_entry(target: str | Mapping[str, Any]) -> dict[str, str]:
    """Return the entry for the metadata of a network's export, to pass to ``export_network``; empty where uncalibrated.

    Args:
        target: The saved model, the folder of a run or the name that is exported, or the metrics of one in memory.
    """
    if isinstance(target, str):
        found = read_calibration(target)
    else:
        found = calibration_of(target[KEY], "the network's metrics") if KEY in target else Calibration()
    return {} if found == Calibration() else {KEY: json.dumps(found.to_dict())}


def write_calibration(target: Path, calibration: Calibration, output: Path) -> None:
    """Write a network with its calibration, whole or not at all; nothing else of it changes.

    Args:
        target: An ONNX file or a saved model.
        calibration: What to keep.
        output: The file to write, of the same kind; may be ``target``.

    Raises:
        ModelFileError: If the target is damaged, or another kind of file than the output.
    """
    kind = target.suffix.lower()
    if kind not in (".onnx", ".safetensors") or output.suffix.lower() != kind:
        raise ModelFileError(
            f"a calibration cannot go from {target.name} to {output.name}",
            where=str(target),
            allowed="both .onnx, or both .safetensors",
        )
    if kind == ".safetensors":
        from bacalhaunet.models.saved import load_model, save_model

        saved = load_model(target)
        save_model(output, saved.network, saved.spec, saved.classes, {**saved.metrics, KEY: calibration.to_dict()})
        return
    content = with_entry(target.read_bytes(), KEY, json.dumps(calibration.to_dict()))
    with whole_file(output) as partial:
        partial.write_bytes(content)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ModelFileError(f"the calibration is not JSON: {error}", where=where) from error


def _saved_metrics(path: Path) -> Mapping[str, Any]:
    """Return the metrics in a saved model's header."""
    try:
        metrics = json.loads(saved_entries(path).get("metrics", "{}"))
    except ValueError:
        return {}  # whoever loads the weights says what is wrong with the file
    return metrics if isinstance(metrics, dict) else {}
