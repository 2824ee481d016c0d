"""The frames of a run: training batches and validation batches, from a file or a generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from bacalhaunet.data.batches import Batch, FileBatches, GeneratedBatches, read_batch
from bacalhaunet.data.layout import Indices
from bacalhaunet.data.loaders import BatchSource
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.data.split import radioml_split
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES, SNRS_DB
from bacalhaunet.radio.profiles import FrameSource, make_source
from bacalhaunet.training.batches import ResumableBatches
from bacalhaunet.training.config import DataConfig, TrainConfig
from bacalhaunet.training.device import training_device

VALIDATION_SEED = 2_147_483_646
"""Seed of the frames that choices are made on; no run can train with it, since it has one of its own."""

TEST_SEED = 2_147_483_647
"""Seed of the twin's test split. It is read once per reported figure and never trained or chosen on."""

VALIDATION_BATCH = 2048

FRAMES_TOGETHER_GPU = 32_768
"""Frames that a GPU makes at once: a thousand take it as long as ten thousand."""

FRAMES_PER_EPOCH, VALIDATION_FRAMES_PER_CELL = 102_400, 10
"""Where the settings leave them open, and frames are generated."""


@dataclass(frozen=True)
class TrainingData:
    """What a run trains on and is chosen by.

    Attributes:
        source: Training batches by number.
        batches_per_epoch: Batches of an epoch.
        validation: Validation batches: all SNR labels, never trained on.
        names: Class names by label.
        description: The data in words.
    """

    source: BatchSource
    batches_per_epoch: int
    validation: Sequence[Batch] = field(repr=False)
    names: tuple[str, ...]
    description: str

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.names)

    def batches(self) -> ResumableBatches:
        """Return the training batches from the first one on."""
        return ResumableBatches(self.source, self.batches_per_epoch)


def training_data(config: TrainConfig) -> TrainingData:
    """Open or set up the frames that ``config`` names.

    Raises:
        DatasetError: If the file cannot be used.
        ConfigError: If the choice leaves no frames, or the seed is one kept for validation or test.
    """
    if config.seed in (VALIDATION_SEED, TEST_SEED):
        raise ConfigError(f"seed is {config.seed}", allowed="any other: validation and test frames have this one")
    return _from_generator(config) if config.data.file is None else _from_file(config)


def _from_file(config: TrainConfig) -> TrainingData:
    assert config.data.file is not None
    file = RadioMLFile(config.data.file)
    split = radioml_split(file.layout)
    train = file.layout.select(split.train, snr_min_db=config.data.snr_min_db)
    source = FileBatches(file, train, config.batch_size, seed=config.seed)
    validation = _first_of_each_cell(file, np.sort(split.validation), config.data.validation_frames_per_cell)
    if not len(validation):
        raise ConfigError(
            f"{file.path.name} has {file.frames_per_cell} frames of each modulation at each SNR",
            where=str(file.path),
            allowed="3 or more, one each for training, validation and test",
            action="take a file with more frames, or make one with 'bacalhaunet twin make'",
        )
    parts = np.array_split(validation, max(1, -(-len(validation) // VALIDATION_BATCH)))
    asked = config.data.frames_per_epoch
    return TrainingData(
        source=source,
        batches_per_epoch=source.batches_per_epoch if asked is None else max(1, asked // config.batch_size),
        validation=_ReadWhenAsked(file, [part for part in parts if len(part)]),
        names=NAMES,  # labels keep their class numbers in a file of some classes only
        description=f"{file.path.name}: {len(train):,} training frames of SNR {config.data.snr_min_db} dB and more",
    )


def _first_of_each_cell(file: RadioMLFile, indices: Indices, count: int | None) -> Indices:
    """Return the first ``count`` of ``indices`` in each cell of modulation and SNR; all of them for None."""
    if count is None:
        return indices
    cells = indices // file.layout.frames_per_cell
    _, begins = np.unique(cells, return_index=True)
    place = np.arange(len(indices)) - np.repeat(begins, np.diff(np.append(begins, len(indices))))
    return indices[place < count]


class _ReadWhenAsked(Sequence[Batch]):
    """Batches of a file that are read when they are asked for: validation frames may outgrow memory."""

    def __init__(self, file: RadioMLFile, parts: list[np.ndarray]) -> None:
        self.file, self.parts = file, parts

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        return read_batch(self.file, self.parts[index])


def _from_generator(config: TrainConfig) -> TrainingData:
    data = config.data
    snrs = [snr for snr in SNRS_DB if snr >= data.snr_min_db]
    device = training_device(config)
    source = make_source(data.profile, device=device)
    names = tuple(source.modulations)
    batches = GeneratedBatches(
        source,
        config.batch_size,
        seed=config.seed,
        labels=range(len(names)),
        snrs_db=snrs,
        together=1 if device == "cpu" else max(1, FRAMES_TOGETHER_GPU // config.batch_size),
    )
    return TrainingData(
        source=batches,
        batches_per_epoch=max(1, (data.frames_per_epoch or FRAMES_PER_EPOCH) // config.batch_size),
        validation=generated_part(source, data, len(names), VALIDATION_SEED),
        names=names,
        description=f"the {data.profile} profile, generated, SNR {data.snr_min_db} dB and more; no frame comes twice",
    )


def generated_part(source: FrameSource, data: DataConfig, classes: int, seed: int) -> list[Batch]:
    """Make the same number of frames of every modulation at every SNR, in main memory wherever they are made."""
    cells = classes * len(SNRS_DB)
    total = cells * (data.validation_frames_per_cell or VALIDATION_FRAMES_PER_CELL)
    all_cells = GeneratedBatches(source, min(VALIDATION_BATCH, total), seed=seed, labels=range(classes))
    batches = [all_cells.batch(number).to(torch.device("cpu")) for number in range(-(-total // all_cells.batch_size))]
    excess = len(batches) * all_cells.batch_size - total
    if excess:
        batches[-1] = batches[-1].part(slice(-excess))
    return batches
