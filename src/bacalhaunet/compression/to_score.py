"""Prune a network to a target score while it is trained on."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from bacalhaunet.compression.budget import network_cost
from bacalhaunet.compression.score_pruning import ScorePruning, ScorePruningConfig
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.fit import FitResult, fit
from bacalhaunet.training.run_data import TrainingData


def prune_to_score(
    network: nn.Module,
    spec: NetworkSpec,
    target: float,
    pruning: ScorePruningConfig,
    data: TrainingData,
    config: TrainConfig,
    folder: Path,
    title: str = "pruning",
) -> FitResult:
    """Prune ``network`` in place to a score and train it on, resuming from ``folder`` if a checkpoint lies there.

    Args:
        network: A trained network. On a resumed call it must be the same one as in the first call.
        spec: Its specification.
        target: The score to reach. A network that is below it already is trained on with its zeros kept.
        pruning: How.
        data: Training and validation batches.
        config: Settings of the training, a teacher included.
        folder: Where checkpoints, logs and the curve go.
        title: Start of the progress lines.

    Returns:
        What the training gave; the network holds the weights with the best validation accuracy among those of the
        epochs that ended with frozen masks.

    Raises:
        ConfigError: If the target asks for less than something of each layer.
    """
    batches = data.batches()
    target = min(target, network_cost(network, spec).score)
    freeze = pruning.freeze_step(config.epochs * len(batches))
    return fit(
        network,
        batches,
        data.validation,
        config,
        folder,
        classes=data.classes,
        title=title,
        callbacks=[ScorePruning(spec, target, pruning)],
        keep_from_epoch=max(1, -(-freeze // len(batches))),
    )
