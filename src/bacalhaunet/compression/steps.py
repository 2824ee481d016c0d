"""Doing the steps of a compression one after another, each in a folder of its own and each only once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bacalhaunet.compression.budget import network_cost
from bacalhaunet.compression.config import CompressConfig
from bacalhaunet.compression.measure import validation_accuracy
from bacalhaunet.compression.path import PathStep
from bacalhaunet.compression.pruning import density
from bacalhaunet.models.saved import SavedModel, load_model, save_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.curve import CurvePoint
from bacalhaunet.training.fit import BEST_CHECKPOINT, LAST_CHECKPOINT, FitResult
from bacalhaunet.training.history import Stage, earlier_stages, stage, told
from bacalhaunet.training.run import MODEL_FILE, resolved
from bacalhaunet.training.run_data import TrainingData, training_data
from bacalhaunet.training.start import first_frames


@dataclass(frozen=True)
class Begun:
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
    run: Callable[[Begun, TrainingData, TrainConfig, Path], FitResult]


class Steps:
    """The steps of one compression.

    Args:
        config: The road.
        folder: Gets a folder for each step.
        network: What the road starts from: a catalog name, a specification or a saved model.
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
        """The step the road goes on from."""
        return [step for step in self.done if step.kept][-1]

    def here(self) -> SavedModel:
        """Read the network the road goes on from: its weights are the same whether or not it was interrupted."""
        assert self._model is not None
        return load_model(self._model)

    def settings(self, epochs: int) -> TrainConfig:
        """Return the settings of the training of the step that comes next."""
        network = self.network if not self.done else str(self._model)
        return self.config.training(network, epochs, len(self.done))

    def do(
        self,
        name: str,
        title: str,
        begin: Callable[[], Begun],
        training: Training | None = None,
        *,
        least: float | None = None,
    ) -> PathStep:
        """Do a step, or read it back if it was done; the road goes on from it if it is accurate enough.

        Args:
            name: Name of its folder.
            title: What it does, in words.
            begin: Makes what it begins with.
            training: What is trained then; None for nothing.
            least: Accuracy below which the step is left; None keeps it in any case.
        """
        folder = self.folder / name
        step = PathStep.read(folder) or self._do(folder, title, begin, training, least)
        self.done.append(step)
        if step.kept:
            self._model = folder / MODEL_FILE
        return step

    def _do(
        self, folder: Path, title: str, begin: Callable[[], Begun], training: Training | None, least: float | None
    ) -> PathStep:
        begun = begin()
        stages = self._stages()
        frames, settings = 0, self.settings(training.epochs if training else 1)
        curve: tuple[CurvePoint, ...] = ()
        if training is not None:
            result = training.run(begun, self._frames_of(settings), settings, folder)
            frames, curve = result.frames_seen, result.curve
        accuracy = validation_accuracy(begun.network, self._first.validation)
        cost = network_cost(begun.network, begun.spec)
        step = PathStep(
            name=folder.name,
            title=title,
            accuracy=accuracy,
            validation_frames=sum(len(batch.labels) for batch in self._first.validation),
            score=cost.score,
            bit_ops=cost.bit_ops,
            bit_mem=cost.bit_mem,
            density=density(begun.network),
            frames=frames,
            kept=least is None or accuracy >= least,
            details=begun.details,
        )
        if training is not None:
            stages.append(stage("compress", resolved(settings), begun.spec, frames, accuracy, curve, step=folder.name))
        metrics = {
            "validation_accuracy": accuracy,
            "validation_frames": step.validation_frames,
            "score": cost.score,
            **told(stages),
        }
        save_model(folder / MODEL_FILE, begun.network, spec=begun.spec, labels=self._first.names, metrics=metrics)
        step.write(folder)
        for checkpoint in (LAST_CHECKPOINT, BEST_CHECKPOINT):
            (folder / checkpoint).unlink(missing_ok=True)
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
