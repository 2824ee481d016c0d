"""Trainings that tables and figures need: each is done once in a folder, whichever of them asks for it."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.evaluation import predict
from bacalhaunet.compression.pruning import KeepZeros, apply_masks, density, magnitude_masks
from bacalhaunet.cost.of import cost_of
from bacalhaunet.data.batches import Batch
from bacalhaunet.data.evaluation import Evaluation, Predictor, evaluate_together, wilson_interval
from bacalhaunet.errors import BacalhauNetError, ConfigError
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.models.states import fit_thresholds, transfer_state
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.resume import DONE_FILE, claim_folder, once
from bacalhaunet.training.config import OptimizerConfig, TrainConfig
from bacalhaunet.training.fit import fit
from bacalhaunet.training.run import fresh_network
from bacalhaunet.training.task import cross_entropy
from bacalhaunet_paper.budgets import Kind, Setting
from bacalhaunet_paper.frames import Frames
from bacalhaunet_paper.slimming import remove_channels, scale_penalty

Facts = dict[str, Any]
"""What a stage leaves for later ones: a JSON object."""


class Stages:
    """Runs stages and remembers in the run folder which are done and what they found.

    Args:
        folder: The run folder.
        config: The resolved configuration. A folder begun with another one is refused, so that no run mixes two.

    Raises:
        ConfigError: If the folder was begun with another configuration, or another process runs in it.
    """

    def __init__(self, folder: Path, config: Facts) -> None:
        self.folder = folder
        self.started = time.monotonic()
        self._claim = claim_folder(folder, config)

    def run(self, name: str, title: str, work: Callable[[Path], Facts]) -> Facts:
        """Run ``work`` unless it was done before, and return what it found.

        Args:
            name: File-name-safe name; the stage's folder is ``stages/<name>``.
            title: What people read.
            work: Gets the stage's folder, which may hold what an interrupted call left there.
        """
        folder = self.folder / "stages" / name
        done = folder / DONE_FILE
        self.say(f"{title}: done before" if done.is_file() else title)

        def timed() -> Facts:
            begun = time.monotonic()
            facts = work(folder)
            facts.setdefault("seconds", round(time.monotonic() - begun, 1))
            return facts

        facts: Facts = once(done, timed)
        return facts

    def say(self, text: str) -> None:
        """Print a line with the time since this call of the command began, on standard error."""
        elapsed = round(time.monotonic() - self.started)
        print(f"[{elapsed // 60:3d}:{elapsed % 60:02d}] {text}", file=sys.stderr, flush=True)


CHUNK = 128
"""Frames of one forward pass of torch on a CPU; the layers of more leave its cache."""


def predictor_of(model: Path) -> Predictor:
    """Return what classifies frames as a saved model does: the native engine for one with an integer form, or torch.

    The two name the same class but for rounding ties. A GPU runs all of them in torch.
    """
    saved = load_model(model)
    if not torch.cuda.is_available() and not saved.spec.is_float:
        try:
            engine = open_engine(model, "native")
        except BacalhauNetError:  # a float sum, a gate, no kernels: torch can
            return partial(predicted, ready(saved.network))
        return lambda frames: predict(engine, frames.numpy())
    return partial(predicted, ready(saved.network))


def accuracy_on(network: nn.Module, batches: Sequence[Batch]) -> float:
    """Return the share of frames that a network classifies correctly."""
    return evaluate_together({"": partial(predicted, ready(network))}, batches, NAMES)[""].accuracy


def ready(network: nn.Module) -> nn.Module:
    """Return a network in evaluation mode, on the GPU if there is one."""
    return network.to("cuda" if torch.cuda.is_available() else "cpu").eval()


@torch.no_grad()
def predicted(network: nn.Module, frames: Tensor) -> Tensor:
    """Return the classes that a network in torch gives frames."""
    device = next(network.parameters()).device
    parts = torch.split(frames.to(device), CHUNK if device.type == "cpu" else len(frames))
    return torch.cat([network(part).argmax(dim=1) for part in parts])


LEARNING_RATE, MATRIX_LEARNING_RATE = 0.01, 0.05
"""Peak learning rates of Adam, the report's, and of Muon."""

ONWARD = 0.4
"""What the learning rates of trainings that go on from a float network are multiplied by."""

PART_BATCHES = 16
"""Batches of test frames between two points a measurement can go on from."""


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        label: A short name that a file can have.
        spec: The network.
        start: Saved model to start from, relative to the folder; None starts from weights drawn from the seed.
        weight_decay: lambda.
        min_abs_weight: epsilon; weights below it become zero first and stay zero. None prunes nothing.
        scale_penalty: Factor of the L1 penalty on BatchNorm scales.
        kind: Which training it is; decides its frames and learning rates.
    """

    label: str
    spec: NetworkSpec
    start: str | None = None
    weight_decay: float = 0.0
    min_abs_weight: float | None = None
    scale_penalty: float = 0.0
    kind: Kind = "scratch"

    @property
    def name(self) -> str:
        """The label with a digest of everything else, so that no two trainings share a name."""
        plain = asdict(self) | {"spec": self.spec.to_dict()}
        return f"{self.label}-{hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Trained:
    """A network that a job left.

    Attributes:
        model: The saved model, relative to the folder.
        validation_accuracy: Share of validation frames classified correctly.
        frames_seen: Training frames, those of the networks it started from included.
        score: The official score, zeros discounted.
        density: Share of weights that are not zero.
    """

    model: str
    validation_accuracy: float
    frames_seen: int
    score: float
    density: float


class Jobs:
    """Does trainings and measurements in a folder; what was done before is read back.

    Args:
        setting: Budget, file and seed.
        folder: The folder. One begun with another setting is refused.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting, self.folder = setting, folder
        self.frames = Frames(setting)
        _ = self.frames.file  # a file that cannot be used is refused before the folder is begun
        self.stages = Stages(folder, setting.plain())
        self._predictors: dict[str, Predictor] = {}

    def train(self, job: Job) -> Trained:
        """Do a job, resuming it if it was interrupted.

        Raises:
            ConfigError: If epsilon removes every weight of a layer.
        """
        facts = self.stages.run(job.name, f"training {job.label}", lambda folder: self._train(job, folder))
        return Trained(**facts["trained"])

    def rounded(self, label: str, given: Trained, spec: NetworkSpec) -> Trained:
        """Quantize a float network by rounding alone: thresholds from training frames, no training."""

        def work(folder: Path) -> Facts:
            network = self._requantized(load_model(self.folder / given.model).network, spec)
            return self._keep(folder, network, spec, given.frames_seen, None)

        facts = self.stages.run(f"{label}-rounded-{_tail(given)}", f"rounding {label} without training", work)
        return Trained(**facts["trained"])

    def slimmed(self, label: str, given: Trained, share: float) -> Trained:
        """Remove a share of a network's channels, those of the smallest BatchNorm scales."""

        def work(folder: Path) -> Facts:
            saved = load_model(self.folder / given.model)
            spec, network = remove_channels(saved.spec, saved.network, share)
            return self._keep(folder, network, spec, given.frames_seen, None)

        facts = self.stages.run(f"{label}-{_tail(given)}", f"{label}: removing {100 * share:.0f} % of channels", work)
        return Trained(**facts["trained"])

    def measure(self, table: str, models: Mapping[str, Trained]) -> dict[str, Facts]:
        """Measure networks on the test frames, which are gone through once for all of them together.

        Returns:
            ``accuracy``, ``interval``, ``frames`` and ``accuracy_by_snr`` by the networks' labels.
        """
        names = json.dumps({label: trained.model for label, trained in models.items()}, sort_keys=True)
        digest = hashlib.sha256(names.encode()).hexdigest()[:8]
        name, parts = f"measure-{table}-{digest}", self._test_parts()
        counted = [
            self.stages.run(
                f"{name}/part-{number}",
                f"measuring {len(models)} networks of {table}, part {number} of {len(parts)} of the test frames",
                partial(self._count, models, part),
            )
            for number, part in enumerate(parts, 1)
        ]
        return {label: _result(label, counted) for label in models}

    def _test_parts(self) -> list[list[Callable[[], Batch]]]:
        """Divide the test frames into parts of some minutes each, so that little is lost when a run is interrupted."""
        batches = self.frames.test()
        return [batches[start : start + PART_BATCHES] for start in range(0, len(batches), PART_BATCHES)]

    def _train(self, job: Job, folder: Path) -> Facts:
        config = self._config(job)
        network, seen = self._start(job)
        callbacks = []
        if job.min_abs_weight is not None:
            masks = magnitude_masks(network, job.min_abs_weight)
            apply_masks(network, masks)
            callbacks.append(KeepZeros(masks))
        loss = scale_penalty(network, job.scale_penalty) if job.scale_penalty else cross_entropy
        data = self.frames.training(config)
        result = fit(
            network,
            data.batches(),
            data.validation,
            config,
            folder,
            classes=len(data.classes),
            title=job.label,
            loss=loss,
            callbacks=callbacks,
        )
        return self._keep(folder, network, job.spec, seen + result.frames_seen, result.validation_accuracy)

    def _start(self, job: Job) -> tuple[nn.Module, int]:
        """Return the network a training begins with, and the frames it has seen."""
        if job.start is None:
            return fresh_network(job.spec, self.setting.seed), 0
        saved = load_model(self.folder / job.start)
        seen = int(saved.metrics["frames_seen"])
        network = saved.network if saved.spec == job.spec else self._requantized(saved.network, job.spec)
        return network, seen

    def _requantized(self, network: nn.Module, spec: NetworkSpec) -> nn.Module:
        """Return a network of other bits with the same weights, its thresholds from training frames."""
        other = fresh_network(spec, self.setting.seed)
        transfer_state(other, network.state_dict())
        fit_thresholds(other, self.frames.calibration())
        return other

    def _config(self, job: Job) -> TrainConfig:
        budget = self.setting.budget
        frames, epochs, batch_size = budget.frames_of(job.kind)
        part = ONWARD if job.kind == "bits" else 1.0
        optimizer = OptimizerConfig(
            part * LEARNING_RATE,
            job.weight_decay,
            budget.schedule,
            kind="adam" if job.kind == "tune" else budget.optimizer,
            matrix_learning_rate=part * MATRIX_LEARNING_RATE,
        )
        return TrainConfig(
            optimizer=optimizer,
            data=self.frames.data_config(frames // epochs),
            epochs=epochs,
            batch_size=batch_size,
            seed=self.setting.seed + (job.kind == "bits"),  # frames the float network has not seen
            checkpoint_every_steps=20,
            threads=self.setting.threads,
        )

    def _keep(self, folder: Path, network: nn.Module, spec: NetworkSpec, seen: int, validation: float | None) -> Facts:
        """Save a network and return its facts."""
        path = folder / "model.safetensors"
        if validation is None:
            validation = accuracy_on(network, self.frames.validation)
        save_model(path, network, spec, NAMES, {"frames_seen": seen, "validation_accuracy": validation})
        model = str(path.relative_to(self.folder))
        return {"trained": asdict(Trained(model, validation, seen, cost_of(path).score, density(network)))}

    def _count(self, models: Mapping[str, Trained], part: list[Callable[[], Batch]], _folder: Path) -> Facts:
        """Count frames, and those that each network classifies correctly, by SNR."""
        predictors = {label: self._predictor(given.model) for label, given in models.items()}
        found = evaluate_together(predictors, (make() for make in part), NAMES)
        right = {label: _by_snr(one, np.trace(one.counts, axis1=1, axis2=2)) for label, one in found.items()}
        any_of_them = next(iter(found.values()))
        return {"totals": _by_snr(any_of_them, any_of_them.counts.sum(axis=(1, 2))), "right": right}

    def _predictor(self, model: str) -> Predictor:
        """Open a network once, not again for each part of the test frames."""
        if model not in self._predictors:
            self._predictors[model] = predictor_of(self.folder / model)
        return self._predictors[model]


def try_train(jobs: Jobs, job: Job) -> Trained | None:
    """Do a job; None if epsilon removes every weight of a layer."""
    try:
        return jobs.train(job)
    except ConfigError as error:
        if "removes every weight" not in str(error):
            raise
        jobs.stages.say(f"{job.label}: {error}")
        return None


def _tail(given: Trained) -> str:
    return hashlib.sha256(given.model.encode()).hexdigest()[:8]


def _by_snr(evaluation: Evaluation, counts: NDArray[np.int64]) -> dict[str, int]:
    return {str(snr): int(count) for snr, count in zip(evaluation.snrs_db, counts, strict=True)}


def _result(label: str, counted: list[Facts]) -> Facts:
    totals, right = Counter[str](), Counter[str]()
    for part in counted:
        totals.update(part["totals"])
        right.update(part["right"][label])
    frames, correct = totals.total(), right.total()
    return {
        "accuracy": correct / frames,
        "interval": list(wilson_interval(correct, frames)),
        "frames": frames,
        "accuracy_by_snr": {snr: right[snr] / totals[snr] for snr in sorted(totals, key=int)},
    }
