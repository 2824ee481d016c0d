"""One trial: train, perhaps stop early, prune, and measure both objectives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from bacalhaunet.compression.budget import least_score
from bacalhaunet.compression.config import PruneStep, ScorePruningConfig
from bacalhaunet.compression.pruning import prunable_weights, prune_step
from bacalhaunet.compression.schedule import prune_to_score
from bacalhaunet.cost.analytic import nonzero_weights, spec_cost
from bacalhaunet.models.resolve import MODEL_FILE
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.outputs import write_text
from bacalhaunet.resume import claim_folder
from bacalhaunet.search.settings import SearchConfig
from bacalhaunet.search.space import Candidate
from bacalhaunet.training.config import plain
from bacalhaunet.training.fit import BEST_CHECKPOINT, LAST_CHECKPOINT, fit
from bacalhaunet.training.run import start_network
from bacalhaunet.training.run_data import TrainingData

SPEC_FILE, TRAINED, PRUNED = "spec.yaml", "trained", "pruned"

Judge = Callable[[int, float], bool]
"""Gets an epoch, counted from 1, and the validation accuracy after it; says whether the trial is to be stopped."""


@dataclass(frozen=True)
class Outcome:
    """What a trial gave.

    Attributes:
        accuracy: Validation accuracy, 0 to 1.
        score: The score by the weights that are not zero; of a stopped trial, the score expected of it.
        min_abs_weight: Weights below it were pruned; 0 for none, or if they were pruned by score.
        stopped_after: Epochs after which it was stopped early; None if it was not.
    """

    accuracy: float
    score: float
    min_abs_weight: float = 0.0
    stopped_after: int | None = None


def run_candidate(
    candidate: Candidate, config: SearchConfig, data: TrainingData, folder: Path, judge: Judge, title: str = "trial"
) -> Outcome:
    """Train and measure a candidate, going on in ``folder`` where an earlier attempt stopped.

    Args:
        candidate: What to train.
        config: The search.
        data: Its frames.
        folder: Gets the specification, checkpoints and the model of this trial.
        judge: Decides about stopping early.
        title: Start of the progress lines.
    """
    write_text(folder / SPEC_FILE, candidate.spec.to_yaml())
    trained = folder / TRAINED / MODEL_FILE
    if not trained.is_file():
        accuracy, stopped_after = _train(config, data, folder, judge, title)
        if stopped_after is not None:
            return Outcome(accuracy, candidate.expected_score(), stopped_after=stopped_after)
    saved = load_model(trained)
    network, accuracy, threshold = saved.network, float(saved.metrics["validation_accuracy"]), 0.0
    if candidate.prune_share > 0:
        fine_tuning, pruned = config.training(str(trained), config.prune_epochs), folder / PRUNED
        if config.prune_by == "score":
            target, how = max(candidate.expected_score(), least_score(saved.spec)), ScorePruningConfig()
            result = prune_to_score(network, saved.spec, target, how, data, fine_tuning, pruned, f"{title}, pruned")
        else:
            threshold = share_threshold(network, candidate.prune_share)
            step = PruneStep(config.prune_weight_decay, threshold)
            result = prune_step(network, step, data, fine_tuning, pruned, f"{title}, pruned")
        accuracy = result.validation_accuracy
    score = spec_cost(saved.spec, nonzero_weights(network, saved.spec)).score
    metrics = {"validation_accuracy": accuracy, "score": score}
    save_model(folder / MODEL_FILE, network, spec=saved.spec, classes=data.classes, metrics=metrics)
    return Outcome(accuracy, score, threshold)


def share_threshold(network: nn.Module, share: float) -> float:
    """Return the magnitude below which ``share`` of all weights lie, at most what leaves every layer a weight."""
    weights = [weight.detach().abs().flatten() for weight in prunable_weights(network).values()]
    together = torch.cat(weights).sort().values
    return min(float(together[int(share * len(together))]), *(float(layer.max()) for layer in weights))


def remove_checkpoints(folder: Path) -> None:
    """Delete what a finished trial no longer needs; its models and curves stay."""
    for part in (TRAINED, PRUNED):
        for name in (LAST_CHECKPOINT, BEST_CHECKPOINT):
            (folder / part / name).unlink(missing_ok=True)


def _train(
    config: SearchConfig, data: TrainingData, folder: Path, judge: Judge, title: str
) -> tuple[float, int | None]:
    settings = config.training(str(folder / SPEC_FILE), config.epochs)
    target, halving = folder / TRAINED, StopEarly(judge)
    # From where the folder is seen may differ between the workers that a trial goes through.
    with claim_folder(target, plain(replace(settings, network=SPEC_FILE))):
        spec, network = start_network(settings, data)
        batches, classes, callbacks = data.batches(), len(data.classes), [halving]
        result = fit(
            network, batches, data.validation, settings, target, classes=classes, title=title, callbacks=callbacks
        )
    if halving.stopped_after is None:
        metrics = {"validation_accuracy": result.validation_accuracy, "frames_seen": result.frames_seen}
        save_model(target / MODEL_FILE, network, spec=spec, classes=data.classes, metrics=metrics)
    return result.validation_accuracy, halving.stopped_after


class StopEarly(Callback):
    """Asks a judge after each epoch and ends the training if it says so."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.stopped_after: int | None = None

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask."""
        epoch = trainer.current_epoch + 1
        if self.judge(epoch, float(trainer.callback_metrics["validation_accuracy"])):
            self.stopped_after = epoch
            trainer.should_stop = True
