"""The training loop: Lightning's, with checkpoints that let an interrupted run end as if it had not been."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader, Dataset

from bacalhaunet.data.batches import Batch
from bacalhaunet.errors import ModelFileError
from bacalhaunet.models.gpu.functions import trained_as_one_graph
from bacalhaunet.training.checkpoints import BestWeights, ResumePoint
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.curve import CURVE_FILE, CurvePoint, LearningCurve, ProgressLines
from bacalhaunet.training.distillation import configured_loss
from bacalhaunet.training.distributed import Share, ShareOfBatches, own_share, shared_statistics
from bacalhaunet.training.run_data import ResumableBatches, training_device
from bacalhaunet.training.task import ClassificationTask, Loss


@contextmanager
def as_cuda_graphs(
    network: nn.Module, loss: Loss, batches: ResumableBatches, classes: int, device: str
) -> Iterator[None]:
    """Within, a network in training mode computes the batches of a run as graphs, and its teacher does.

    Args:
        network: The network; it is taken to the device.
        loss: May ask a teacher, which is recorded before the threads that make frames start.
        batches: All of one size.
        classes: Number of classes.
        device: A GPU.
    """
    first = batches.source.batch(batches.next_number).to(torch.device(device))
    before = torch.get_float32_matmul_precision()
    # Products of 10 bits of mantissa, summed in float32: the levels of quantized signals have no more than 8.
    torch.set_float32_matmul_precision("high")
    try:
        with trained_as_one_graph(network, first.frames):
            loss(torch.zeros(len(first.labels), classes, device=device), first)
            yield
    finally:
        torch.set_float32_matmul_precision(before)


LAST_CHECKPOINT, BEST_CHECKPOINT = "last.ckpt", "best.ckpt"


@dataclass(frozen=True)
class FitResult:
    """What a run gave; the network passed in holds the weights with the best validation accuracy.

    Attributes:
        validation_accuracy: Of the weights kept.
        frames_seen: Training frames of the whole run.
        seconds: Training time, interruptions not counted.
        curve: Validation accuracy against frames seen.
    """

    validation_accuracy: float
    frames_seen: int
    seconds: float
    curve: tuple[CurvePoint, ...]

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> FitResult:
        """Read what ``dataclasses.asdict`` made of a result."""
        return FitResult(**{**values, "curve": tuple(CurvePoint(**point) for point in values["curve"])})


def fit(
    network: nn.Module,
    batches: ResumableBatches,
    validation: Sequence[Batch],
    config: TrainConfig,
    folder: Path,
    *,
    classes: int,
    title: str = "training",
    loss: Loss | None = None,
    callbacks: Sequence[Callback] = (),
    keep_from_epoch: int = 1,
) -> FitResult:
    """Train ``network`` in place, resuming from ``folder`` if a checkpoint lies there.

    Every ``config.checkpoint_every_steps`` steps the whole state (weights, Adam's moments, schedule, batch number)
    is written under a temporary name and renamed. A run killed at any moment goes on from the last such step and
    ends with the same weights, on the same machine and number of threads. The weights kept at the end are those of
    the epoch with the best validation accuracy.

    Started by torchrun, every process takes its rows of each batch, and the losses are those of one process.

    Args:
        network: Maps frames to logits.
        batches: Training batches.
        validation: Validation batches.
        config: Settings.
        folder: Where checkpoints, logs and the curve go.
        classes: Number of classes.
        title: Start of the progress lines.
        loss: What is minimised; None for what ``config`` says: cross entropy, with a teacher if it names one.
        callbacks: Further Lightning callbacks, such as one that keeps pruned weights at zero.
        keep_from_epoch: The first epoch, counted from 1, whose weights may be kept, where the network is not yet what
            it is meant to be in those before.

    Returns:
        What the run gave.

    Raises:
        ModelFileError: If the checkpoint in ``folder`` cannot be read or is of another network.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    seed_everything(config.seed, verbose=False)
    network.train()  # a saved model comes in evaluation mode, and Lightning leaves modes as they are
    share = own_share()
    curve = LearningCurve(folder / CURVE_FILE, config.batch_size)
    loss = loss or _loss(config, classes, batches, share)
    task = ClassificationTask(
        network, config.optimizer, steps_per_epoch=len(batches), epochs=config.epochs, classes=classes, loss=loss
    )
    progress = ProgressLines(title, config.batch_size)
    callbacks = [curve, progress, *callbacks, *_checkpoints(config, folder, keep_from_epoch)]
    trainer = _trainer(config, folder, callbacks, share)
    device, batches = training_device(config), _own_batches(batches, config, share)
    alone_on_gpu = share.processes == 1 and device != "cpu"
    fast = as_cuda_graphs(network, loss, batches, classes, device) if alone_on_gpu else nullcontext()
    with shared_statistics(network, share), fast:
        _run(trainer, task, batches, _Listed(validation, share), folder / LAST_CHECKPOINT)
    _load_best(network, folder)
    return FitResult(
        validation_accuracy=max(point.validation_accuracy for point in curve.points[keep_from_epoch - 1 :]),
        frames_seen=trainer.global_step * config.batch_size,
        seconds=curve.seconds,
        curve=tuple(curve.points),
    )


def _loss(config: TrainConfig, classes: int, batches: ResumableBatches, share: Share) -> Loss:
    # Processes that share a training, and GPUs, ask the teacher themselves.
    alone_on_cpu = share.processes == 1 and training_device(config) == "cpu"
    frames = config.epochs * len(batches) * config.batch_size
    return configured_loss(config.distillation, classes, batches.source if alone_on_cpu else None, frames)


def _own_batches(batches: ResumableBatches, config: TrainConfig, share: Share) -> ResumableBatches:
    """Return this process's rows of every batch."""
    if share.processes == 1:
        return batches
    source = ShareOfBatches(batches.source, config.batch_size, share)
    return ResumableBatches(source, batches.batches_per_epoch, batches.ahead)


def _checkpoints(config: TrainConfig, folder: Path, first_epoch: int) -> list[Callback]:
    last = ResumePoint(folder / LAST_CHECKPOINT, config.checkpoint_every_steps)
    return [BestWeights(folder / BEST_CHECKPOINT, first_epoch), last]


def _trainer(config: TrainConfig, folder: Path, callbacks: list[Callback], share: Share) -> Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    loggers: list[Logger] = [CSVLogger(folder, name="csv"), TensorBoardLogger(folder, name="tensorboard")]
    return Trainer(
        max_epochs=config.epochs,
        accelerator=config.accelerator,
        devices=share.on_this_machine,
        num_nodes=share.processes // share.on_this_machine,
        strategy="ddp" if share.processes > 1 else "auto",
        use_distributed_sampler=False,  # each process takes its own rows
        logger=loggers,
        callbacks=callbacks,
        gradient_clip_val=config.optimizer.gradient_norm or None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
    )


def _run(
    trainer: Trainer,
    task: ClassificationTask,
    batches: ResumableBatches,
    validation: _Listed,
    resume: Path,
) -> None:
    checkpoint = resume if resume.is_file() else None
    with warnings.catch_warnings():
        # The batches are made ahead in a thread of our own, so Lightning's advice to add workers does not apply.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning")
        try:
            # A plain list of batches would be taken for a list of loaders.
            loader = DataLoader(validation, batch_size=None)
            trainer.fit(task, batches, loader, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as end:  # Lightning's answer to Ctrl+C, after which it ignores further ones
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from end
        except (RuntimeError, KeyError) as error:
            if checkpoint is None or "state_dict" not in str(error):
                raise
            raise ModelFileError(
                f"the checkpoint does not fit this network: {str(error).splitlines()[0]}",
                where=str(checkpoint),
                action="train into another folder, or delete this one to start anew",
            ) from error


class _Listed(Dataset[Batch]):
    """One process's rows of a sequence of batches, as the data set Lightning wants."""

    def __init__(self, batches: Sequence[Batch], share: Share) -> None:
        self.batches, self.share = batches, share

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        batch, share = self.batches[index], self.share
        if share.processes == 1:
            return batch
        return batch.part(slice(share.rank, None, share.processes))


def _load_best(network: nn.Module, folder: Path) -> None:
    state = torch.load(folder / BEST_CHECKPOINT, map_location="cpu", weights_only=True)
    prefix = "network."
    weights = {name.removeprefix(prefix): w for name, w in state["state_dict"].items() if name.startswith(prefix)}
    network.load_state_dict(weights)
