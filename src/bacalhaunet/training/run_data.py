"""The frames of a run: training and validation batches of a data set, resumable at any of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from bacalhaunet.data.batches import Batch, BatchSource, FrameBatches, GeneratedBatches, read_batch
from bacalhaunet.data.dataset import Dataset, Frames, of_length, open_dataset
from bacalhaunet.data.datasets import GENERATED, Generated
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.onnx_metadata import saved_entries
from bacalhaunet.models.resolve import resolve_network
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.prefetch import prefetch
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import SNRS_DB
from bacalhaunet.training.config import TrainConfig


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
        classes: The classes of the data.
        description: The data in words.
    """

    source: BatchSource
    batches_per_epoch: int
    validation: Sequence[Batch] = field(repr=False)
    classes: ClassSet
    description: str

    @property
    def frame_length(self) -> int:
        """Complex samples of a frame."""
        return int(self.validation[0].frames.shape[-1])

    def batches(self) -> ResumableBatches:
        """Return the training batches from the first one on."""
        return ResumableBatches(self.source, self.batches_per_epoch)


def open_data(config: TrainConfig) -> Dataset:
    """Open the data set that ``config`` names.

    Raises:
        DatasetError: If it cannot be used.
        ConfigError: If its frames have another length than ``config`` asks for, or the seed is one kept for validation
            or test.
    """
    data = config.data
    if data.file is not None:
        asked = data.frame_length
        if asked is None and data.file.is_dir():
            asked = _own_length(config.network)
        return open_dataset(data.file, frame_length=asked)
    generated: Dataset = GENERATED[data.profile](
        seed=config.seed,
        train_frames_per_cell=1,
        validation_frames_per_cell=data.validation_frames_per_cell or VALIDATION_FRAMES_PER_CELL,
        device=training_device(config),
        settings=None if data.classes is None else {"classes": data.classes},
    )
    return of_length(generated, data.frame_length)


def _own_length(network: str) -> int | None:
    """Return the frame length of a network that has one of its own: a trained one, or a specification."""
    source = resolve_network(network) if network else None
    if source is None or source.kind == "catalog":
        return None
    if source.saved is not None:
        text = saved_entries(source.saved).get("spec")
        return None if text is None else NetworkSpec.from_json(text).frame_length
    return source.spec().frame_length


def training_data(config: TrainConfig, dataset: Dataset | None = None) -> TrainingData:
    """Return the batches of a run.

    Args:
        config: The run.
        dataset: Its data set, if it is open already; None opens the one that ``config`` names.

    Raises:
        DatasetError: If the data set cannot be used.
        ConfigError: If the choice leaves no frames, or the seed is one kept for validation or test.
    """
    dataset = dataset or open_data(config)
    return _of_source(config, dataset) if isinstance(dataset, Generated) else _of_frames(config, dataset)


def _of_frames(config: TrainConfig, dataset: Dataset) -> TrainingData:
    limit, train = config.data.snr_min_db, dataset.train
    if train.snr_db is not None:
        train = train.select(snr_min_db=limit)
    source = FrameBatches(train, config.batch_size, seed=config.seed)
    validation = _first_of_each_cell(dataset.validation, config.data.validation_frames_per_cell)
    if not len(validation):
        raise ConfigError(
            f"{dataset.name} has {len(dataset.train) + len(dataset.test)} frames and none of them for validation",
            where=train.name,
            allowed="3 or more frames of each class at each SNR, one each for training, validation and test",
            action="take data with more frames",
        )
    asked = config.data.frames_per_epoch
    above = "" if train.snr_db is None else f" of SNR {limit} dB and more"
    return TrainingData(
        source=source,
        batches_per_epoch=source.batches_per_epoch if asked is None else max(1, asked // config.batch_size),
        validation=ReadWhenAsked(validation, VALIDATION_BATCH),
        classes=dataset.classes,
        description=f"{dataset.name}: {len(train):,} training frames{above}",
    )


def _first_of_each_cell(frames: Frames, count: int | None) -> Frames:
    """Return the first ``count`` frames of each class at each SNR; all of them for None."""
    if count is None or not len(frames):
        return frames
    levels = np.zeros(len(frames)) if frames.snr_db is None else frames.snr_db
    _, cells = np.unique(np.stack([frames.labels, levels]), axis=1, return_inverse=True)
    order = np.argsort(cells.ravel(), kind="stable")
    _, begins = np.unique(cells.ravel()[order], return_index=True)
    place = np.arange(len(frames)) - np.repeat(begins, np.diff(np.append(begins, len(frames))))
    return frames.take(np.sort(order[place < count]))


class ReadWhenAsked(Sequence[Batch]):
    """Batches of frames that are read when they are asked for: validation frames may outgrow memory.

    Args:
        frames: The frames.
        size: Frames of a batch at most; all batches are as large as can be.
    """

    def __init__(self, frames: Frames, size: int) -> None:
        self.frames = frames
        self.parts = np.array_split(np.arange(len(frames)), max(1, -(-len(frames) // size)))

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.parts)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        """Read a batch."""
        return read_batch(self.frames, self.parts[index])


def _of_source(config: TrainConfig, dataset: Generated) -> TrainingData:
    data, source = config.data, dataset.source
    on_cpu = source.device.type == "cpu"
    batches = GeneratedBatches(
        source,
        config.batch_size,
        seed=config.seed,
        labels=range(len(dataset.classes)),
        snrs_db=[snr for snr in SNRS_DB if snr >= data.snr_min_db],
        together=1 if on_cpu else max(1, FRAMES_TOGETHER_GPU // config.batch_size),
    )
    validation = dataset.validation
    starts = range(0, len(validation), VALIDATION_BATCH)
    return TrainingData(
        source=batches,
        batches_per_epoch=max(1, (data.frames_per_epoch or FRAMES_PER_EPOCH) // config.batch_size),
        validation=[read_batch(validation, slice(start, start + VALIDATION_BATCH)) for start in starts],
        classes=dataset.classes,
        description=f"the {dataset.name} profile, generated, SNR {data.snr_min_db} dB and more; no frame comes twice",
    )
