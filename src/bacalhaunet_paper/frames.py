"""The frames of the reproductions: training, validation, test, from the twin or a file, in the amounts of a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bacalhaunet.data.batches import Batch, GeneratedBatches, read_batch
from bacalhaunet.data.dataset import Frames as DatasetFrames
from bacalhaunet.data.dataset import Indices, Part
from bacalhaunet.data.datasets import RadioML
from bacalhaunet.data.generated import TEST_SEED, VALIDATION_SEED
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.radio.modulations import NAMES, SNRS_DB
from bacalhaunet.radio.profiles import make_source
from bacalhaunet.training.config import DataConfig, TrainConfig
from bacalhaunet.training.run_data import TrainingData, training_data
from bacalhaunet_paper.budgets import Setting

BATCH = 2048
TRAIN_SNR_MIN_DB = -6


class Frames:
    """Frames by purpose.

    Args:
        setting: Budget, file and seed.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @cached_property
    def file(self) -> RadioMLFile | None:
        """The file, if there is one."""
        return None if self.setting.data is None else RadioMLFile(self.setting.data)

    @cached_property
    def whole(self) -> DatasetFrames:
        """All frames of the file, by number."""
        assert self.setting.data is not None
        return RadioML(self.setting.data).part("all")

    @property
    def labels(self) -> tuple[int, ...]:
        """Numbers of the classes there are frames of, in ascending order."""
        return tuple(range(len(NAMES))) if self.file is None else tuple(sorted(self.file.layout.labels))

    @property
    def description(self) -> str:
        """The data in words."""
        if self.file is None:
            seeds = f"seeds: training {self.setting.seed}, validation {VALIDATION_SEED}, test {TEST_SEED}"
            return f"frames of the twin, generated, none twice; {seeds}"
        return f"{self.file.path.name}: {len(self.file):,} frames, split as the challenge prescribes"

    def data_config(self, frames_per_epoch: int) -> DataConfig:
        """Return the training's data settings."""
        budget = self.setting.budget
        return DataConfig(
            file=self.setting.data,
            frames_per_epoch=frames_per_epoch,
            validation_frames_per_cell=budget.validation_per_cell,
            snr_min_db=TRAIN_SNR_MIN_DB,
        )

    def training(self, config: TrainConfig) -> TrainingData:
        """Return the frames of a training, with the validation frames that all trainings share."""
        own = training_data(replace(config, data=replace(config.data, validation_frames_per_cell=1)))
        return replace(own, validation=self.validation)

    @cached_property
    def validation(self) -> list[Batch]:
        """The frames that choices are made on, in memory."""
        return [make() for make in self._part("validation", VALIDATION_SEED, self.setting.budget.validation_per_cell)]

    def test(self) -> list[Callable[[], Batch]]:
        """Return what makes or reads each batch of test frames."""
        return self._part("test", TEST_SEED, self.setting.budget.test_per_cell)

    def calibration(self, count: int = 1024) -> Tensor:
        """Return training frames that thresholds of rounded networks are set on."""
        config = TrainConfig(batch_size=count, data=self.data_config(count), seed=self.setting.seed)
        return (
            training_data(replace(config, data=replace(config.data, validation_frames_per_cell=1)))
            .source.batch(0)
            .frames
        )

    def cell(self, label: int, snr_db: int) -> Tensor:
        """Return training frames of one modulation at one SNR, float32 (n, 2, 1024)."""
        count = self.setting.budget.spread_per_cell
        if self.file is not None:
            train = radioml_split(self.file.layout).train
            chosen = self.file.layout.select(train, labels=[label], snr_min_db=snr_db, snr_max_db=snr_db)[:count]
            return read_batch(self.whole, chosen).frames
        batches = GeneratedBatches(make_source("twin"), count, seed=self.setting.seed, labels=[label], snrs_db=[snr_db])
        return batches.batch(0).frames

    def _part(self, part: Part, seed: int, per_cell: int) -> list[Callable[[], Batch]]:
        if self.file is not None:
            chosen = self._of_each_cell(part, per_cell)
            starts = range(0, len(chosen), BATCH)
            return [partial(read_batch, self.whole, chosen[start : start + BATCH]) for start in starts]
        total = len(NAMES) * len(SNRS_DB) * per_cell
        batches = GeneratedBatches(make_source("twin", device=_device()), min(BATCH, total), seed=seed)
        numbers = range(-(-total // batches.batch_size))
        return [partial(_first_rows, batches, number, total - number * batches.batch_size) for number in numbers]

    def _of_each_cell(self, part: Part, per_cell: int) -> Indices:
        """Return up to so many frames of each cell in a part of the file."""
        assert self.file is not None
        numbers = radioml_split(self.file.layout).part(part).reshape(self.file.layout.cell_count, -1)
        return np.sort(numbers[:, :per_cell].ravel())


def _first_rows(batches: GeneratedBatches, number: int, rows: int) -> Batch:
    return batches.batch(number).part(slice(rows))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def refuse_training_seed(seed: int, networks: Iterable[str]) -> None:
    """Refuse frames that shipped networks were trained on: the test frames would be among them.

    Args:
        seed: Of the frames that are to be made.
        networks: Networks; what is known of one that is not shipped is not enough to tell.

    Raises:
        ConfigError: If one of them, or one it started from or learned from, saw frames of the seed.
    """
    for name in networks:
        network = shipped_networks().get(name)
        runs = [] if network is None else network.card["training"]["recipe"]
        seen = {run["data"].get("seed", run["config"]["seed"]) for run in runs}
        if seed in seen:
            raise ConfigError(
                f"{name} was trained on frames of seed {seed}",
                allowed=f"any but {', '.join(map(str, sorted(seen)))}",
                action="pass another --seed",
            )


def require_cells(path: Path, labels: Iterable[int], snrs_db: Iterable[int]) -> None:
    """Refuse a file without some classes at some SNRs.

    Args:
        path: A file in RadioML's layout.
        labels: Class numbers that are needed.
        snrs_db: SNR labels in dB at which they are needed.

    Raises:
        ConfigError: If one is missing.
    """
    with RadioMLFile(path) as file:
        layout = file.layout
    classes = [NAMES[label] for label in labels if label not in layout.labels]
    snrs = [f"{snr:+d} dB" for snr in snrs_db if snr not in layout.snrs_db]
    if classes or snrs:
        raise ConfigError(
            f"{path.name} has no frames of {', '.join([*classes, *snrs])}",
            where=str(path),
            allowed="a file with these classes at these SNRs, as RadioML 2018.01A has them all",
            action="name such a file with --data, or leave --data out for frames of the twin",
        )
