"""Compression as steps that are done once, each in a folder: the network, bits, bits per layer, pruning, statistics."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bacalhaunet.compression.bits import allocate, lowered_network
from bacalhaunet.compression.budget import least_score, network_cost
from bacalhaunet.compression.config import CompressConfig
from bacalhaunet.compression.path import PATH_FILE, PathStep, estimate_norms, validation_accuracy, write_path
from bacalhaunet.compression.pruning import KeepZeros, density, magnitude_masks
from bacalhaunet.compression.schedule import prune_to_score
from bacalhaunet.cost.analytic import nonzero_weights, spec_cost
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.resolve import MODEL_FILE, resolve_network
from bacalhaunet.models.saved import SavedModel, load_model, save_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.resume import DONE_FILE, claim_folder, once
from bacalhaunet.training.config import TrainConfig, plain
from bacalhaunet.training.fit import BEST_CHECKPOINT, LAST_CHECKPOINT, FitResult, fit
from bacalhaunet.training.history import TRAINABLE, Stage, earlier_stages, stage
from bacalhaunet.training.run import first_frames, save_trained, start_network, with_bits
from bacalhaunet.training.run_data import TrainingData, training_data


@dataclass(frozen=True)
class Start:
    """What a step begins with.

    Attributes:
        spec: The network.
        network: Its weights.
        details: What was chosen, as plain values.
    """

    spec: NetworkSpec
    network: nn.Module
    details: dict[str, Any]


@dataclass(frozen=True)
class Training:
    """A training within a step.

    Attributes:
        epochs: Its epochs.
        run: Trains the network of a step in place: gets what the step begins with, frames, settings and a folder.
    """

    epochs: int
    run: Callable[[Start, TrainingData, TrainConfig, Path], FitResult]


class Steps:
    """The steps of one compression.

    Args:
        config: The compression.
        folder: Gets a folder for each step.
        network: What the compression starts from: a catalog name, a specification or a saved model.
        data: Frames, if they are open already; else those ``config`` names, other ones for each training.

    Attributes:
        done: The steps in order.
    """

    def __init__(self, config: CompressConfig, folder: Path, network: str, data: TrainingData | None) -> None:
        self.config, self.folder, self.network = config, folder, network
        self.done: list[PathStep] = []
        self._given = data
        self._first = data or training_data(self.settings(1))
        self._model: Path | None = None

    @property
    def data(self) -> TrainingData:
        """Frames of the first training, whose validation frames all steps are measured on."""
        return self._first

    @property
    def frames(self) -> Tensor:
        """Frames that quantizers are set on."""
        return first_frames(self._first)

    @property
    def last_kept(self) -> PathStep:
        """The step the compression goes on from."""
        return [step for step in self.done if step.kept][-1]

    def here(self) -> SavedModel:
        """Read the network the compression goes on from: its weights are the same whether or not it was interrupted."""
        assert self._model is not None
        return load_model(self._model)

    def settings(self, epochs: int) -> TrainConfig:
        """Return the settings of the training of the step that comes next."""
        network = self.network if not self.done else str(self._model)
        return self.config.step_training(network, epochs, len(self.done))

    def do(
        self,
        name: str,
        title: str,
        begin: Callable[[], Start],
        training: Training | None = None,
        *,
        least: float | None = None,
    ) -> PathStep:
        """Do a step, or read it back if it was done; the compression goes on from it if it is accurate enough.

        Args:
            name: Name of its folder.
            title: What it does, in words.
            begin: Makes what it begins with.
            training: What is trained then; None for nothing.
            least: Accuracy below which the step is left; None keeps it in any case.
        """
        folder = self.folder / name
        done = once(folder / DONE_FILE, lambda: asdict(self._do(folder, title, begin, training, least)))
        step = PathStep(**done)
        self.done.append(step)
        for checkpoint in (LAST_CHECKPOINT, BEST_CHECKPOINT):
            (folder / checkpoint).unlink(missing_ok=True)
        if step.kept:
            self._model = folder / MODEL_FILE
        return step

    def _do(
        self, folder: Path, title: str, begin: Callable[[], Start], training: Training | None, least: float | None
    ) -> PathStep:
        start = begin()
        stages = self._stages()
        settings = self.settings(training.epochs if training else 1)
        result = training.run(start, self._frames_of(settings), settings, folder) if training is not None else None
        accuracy = validation_accuracy(start.network, self._first.validation, self._first.classes.names)
        cost = network_cost(start.network, start.spec)
        step = PathStep(
            name=folder.name,
            title=title,
            accuracy=accuracy,
            validation_frames=sum(len(batch.labels) for batch in self._first.validation),
            score=cost.score,
            bit_ops=cost.bit_ops,
            bit_mem=cost.bit_mem,
            density=density(start.network),
            frames=0 if result is None else result.frames_seen,
            kept=least is None or accuracy >= least,
            details=start.details,
        )
        if result is not None:
            measured = replace(result, validation_accuracy=accuracy)
            stages.append(stage("compress", plain(settings), start.spec, measured, step=folder.name))
        save_trained(folder, start.network, start.spec, self._first, accuracy, stages, score=cost.score)
        say(f"{title}: validation accuracy {100 * accuracy:.2f} %, score {cost.score:.5f}")
        return step

    def _stages(self) -> list[Stage]:
        return list(earlier_stages(self.network if self._model is None else str(self._model)))

    def _frames_of(self, settings: TrainConfig) -> TrainingData:
        """Return the frames of a training: its own training frames, and the validation frames of all."""
        if self._given is not None or not self.done:
            return self._first
        return replace(training_data(settings), validation=self._first.validation)


def say(line: str) -> None:
    """Print a line of progress on standard error."""
    print(line, file=sys.stderr, flush=True)


def compress(config: CompressConfig, folder: Path, *, data: TrainingData | None = None) -> list[PathStep]:
    """Compress a network as ``config`` says, going on where an earlier call stopped.

    Args:
        config: The compression.
        folder: Gets ``config.yaml``, a folder for each step, ``path.json`` and ``model.safetensors``.
        data: Frames, if they are open already; else those ``config`` names.

    Returns:
        The steps in order. The last one that is kept is the network in ``model.safetensors``.

    Raises:
        ConfigError: If the folder was begun with other settings, or what is asked for cannot be reached.
    """
    with claim_folder(folder, plain(config)):
        source = resolve_network(config.network, TRAINABLE, "a network to compress")
        steps = Steps(config, folder, str(source.saved or config.network), data)
        _start(steps, trained=source.trained)
        if config.target_score is not None:
            _to_score(steps, config.target_score)
        else:
            _to_accuracy(steps, config.min_accuracy or 0.0)
        _statistics(steps)
        saved, asked = steps.here(), {"target_score": config.target_score, "min_accuracy": config.min_accuracy}
        save_model(folder / MODEL_FILE, saved.network, saved.spec, saved.classes, saved.metrics)
        write_path(folder / PATH_FILE, steps.done, asked)
        return steps.done


def _start(steps: Steps, *, trained: bool) -> None:
    """Take the network as it is; one without weights is trained."""
    epochs = steps.config.start_epochs

    def begin() -> Start:
        spec, network = start_network(steps.settings(epochs), steps.data)
        _check_target(spec, steps.config)
        return Start(spec, network, {"network": steps.config.network})

    steps.do("start", "as it was" if trained else "trained", begin, None if trained else Training(epochs, _fine_tune))


def _check_target(spec: NetworkSpec, config: CompressConfig) -> None:
    """Refuse a target that these bits do not reach, before anything is trained."""
    if config.target_score is None:
        return
    bits = [*config.bits, *([config.allocation.least_bits] if config.allocation.factor < 1 else [])]
    within_reach = [spec, *(with_bits(spec, config.uniform(number)) for number in bits)]
    lowest = min(least_score(reached, config.pruning.pattern) for reached in within_reach)
    if config.target_score < lowest:
        raise ConfigError(
            f"the target score is {config.target_score:g}",
            allowed=f"{lowest:.4g} or more: what is charged when every layer has as little left as it may",
            action="choose a larger target, fewer bits, or a smaller network",
        )


def _to_score(steps: Steps, target: float) -> None:
    """Lower bits, then prune, while the score is above the target."""
    for bits in steps.config.bits:
        if steps.last_kept.score > target:
            _uniform(steps, bits, None)
    if steps.last_kept.score > target:
        _allocate(steps, max(target, steps.config.allocation.factor * steps.last_kept.score), None)
    if steps.last_kept.score > target:
        _prune(steps, target, None)


def _to_accuracy(steps: Steps, least: float) -> None:
    """Lower bits, then prune, while the validation accuracy is at least ``least``."""
    if steps.done[0].accuracy < least:
        raise ConfigError(
            f"the validation accuracy of the start is {steps.done[0].accuracy:.4f}",
            where=steps.config.network,
            allowed=f"{least} or more, as --min-accuracy asks",
        )
    for bits in steps.config.bits:
        if not _uniform(steps, bits, least):
            break
    _allocate(steps, steps.config.allocation.factor * steps.last_kept.score, least)
    factor, lowest = steps.config.prune_factor, least_score(steps.here().spec, steps.config.pruning.pattern)
    while factor * steps.last_kept.score > 1.1 * lowest and _prune(steps, factor * steps.last_kept.score, least):
        pass


def _uniform(steps: Steps, bits: int, least: float | None) -> bool:
    """Go to the same bits everywhere, unless that saves nothing; say whether to go on."""
    saved = steps.here()
    spec = _learning_steps(steps, with_bits(saved.spec, steps.config.uniform(bits)))
    if spec_cost(spec, nonzero_weights(saved.network, saved.spec)).score >= steps.last_kept.score:
        return True

    def begin() -> Start:
        return Start(spec, lowered_network(spec, saved.network, steps.frames), {"bits": bits})

    training = Training(steps.config.bits_epochs, _fine_tune)
    return steps.do(f"bits-{bits}", f"{bits} bits", begin, training, least=least).kept


def _allocate(steps: Steps, target: float, least: float | None) -> None:
    """Go to bits of each layer's own."""
    allocation, saved = steps.config.allocation, steps.here()
    if allocation.factor == 1:
        return

    def begin() -> Start:
        validation, folder = steps.data.validation, steps.folder / "allocation"
        spec = _learning_steps(steps, saved.spec)
        network = lowered_network(spec, saved.network, steps.frames)
        found = allocate(network, spec, target, allocation, validation, steps.frames, folder, say)
        return Start(found.spec, found.network, {"lowered": list(found.lowered)})

    training = Training(steps.config.bits_epochs, _fine_tune)
    steps.do("allocation", "bits per layer", begin, training, least=least)


def _learning_steps(steps: Steps, spec: NetworkSpec) -> NetworkSpec:
    """Return ``spec`` with learned steps of weights, if the compression has them."""
    return replace(spec, learned_weight_steps=spec.learned_weight_steps or steps.config.learned_steps)


def _prune(steps: Steps, target: float, least: float | None) -> bool:
    """Prune to a score while training on; say whether to go on."""
    pruning = steps.config.pruning

    def begin() -> Start:
        saved = steps.here()
        return Start(saved.spec, saved.network, {"target": target})

    def train(start: Start, data: TrainingData, settings: TrainConfig, folder: Path) -> FitResult:
        return prune_to_score(start.network, start.spec, target, pruning, data, settings, folder)

    training = Training(steps.config.prune_epochs, train)
    return steps.do(f"prune-{target:.4g}", f"pruned to {target:.4g}", begin, training, least=least).kept


def _statistics(steps: Steps) -> None:
    """Estimate BatchNorm statistics on training frames; validation says whether they are kept."""
    batches, source = steps.config.norm_batches, steps.data.source
    if not batches:
        return

    def begin() -> Start:
        saved = steps.here()
        estimate_norms(saved.network, (source.batch(number) for number in range(batches)))
        return Start(saved.spec, saved.network, {"batches": batches})

    steps.do("norms", "BatchNorm statistics", begin, least=steps.last_kept.accuracy)


def _fine_tune(start: Start, data: TrainingData, settings: TrainConfig, folder: Path) -> FitResult:
    """Train on; weights that are zero stay so."""
    network = start.network
    callbacks = [KeepZeros(magnitude_masks(network, 0.0))] if density(network) < 1 else []
    return fit(
        network,
        data.batches(),
        data.validation,
        settings,
        folder,
        classes=len(data.classes),
        title=folder.name,
        callbacks=callbacks,
    )
