"""The frames of a run: training batches and validation batches, from a file or a generator.

One epoch of batches after another, made ahead in the background and resumable at any of them.

Where a run's frames are made and its network trains.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from bacalhaunet.data.batches import Batch, BatchSource, FileBatches, GeneratedBatches, read_batch
from bacalhaunet.data.dataset import Indices
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.errors import ConfigError
from bacalhaunet.prefetch import prefetch
from bacalhaunet.radio.modulations import NAMES, SNRS_DB
from bacalhaunet.radio.profiles import FrameSource, make_source
from bacalhaunet.training.config import DataConfig, TrainConfig


class ResumableBatches:
    """The batches of one epoch after another, made ahead in a background thread.

    Lightning saves ``state_dict`` with every checkpoint. It counts the batches handed out, not those made ahead, so
    a run that goes on from a checkpoint gets the batch that would have come next.

    Args:
        source: Where batches come from.
        batches_per_epoch: Batches of an epoch.
        ahead: Batches made in advance.
    """

    def __init__(self, source: BatchSource, batches_per_epoch: int, ahead: int = 2) -> None:
        self.source = source
        self.batches_per_epoch = batches_per_epoch
        self.ahead = ahead
        self.next_number = 0

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return self.batches_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """Yield what is left of the current epoch."""
        end = (self.next_number // self.batches_per_epoch + 1) * self.batches_per_epoch
        tasks = (partial(self.source.batch, number) for number in range(self.next_number, end))
        for batch in prefetch(tasks, ahead=self.ahead):
            self.next_number += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next batch."""
        return {"next_number": self.next_number}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at the batch ``state`` names."""
        self.next_number = int(state["next_number"])


def training_device(config: TrainConfig) -> str:
    """Name the device of this process: its GPU where there is one, unless the run asks for the CPU."""
    if config.accelerator == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ['LOCAL_RANK']}" if "LOCAL_RANK" in os.environ else "cuda"


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
    names = source.classes.names
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
