"""The road of a compression: the network, bits, bits per layer, pruning, statistics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bacalhaunet.compression.allocation import allocate
from bacalhaunet.compression.bits import lowered_network
from bacalhaunet.compression.budget import least_score
from bacalhaunet.compression.config import CompressConfig
from bacalhaunet.compression.measure import estimate_norms
from bacalhaunet.compression.path import PATH_FILE, PathStep, write_path
from bacalhaunet.compression.pruning import KeepZeros, density, magnitude_masks
from bacalhaunet.compression.steps import Begun, Steps, Training, say
from bacalhaunet.compression.to_score import prune_to_score
from bacalhaunet.cost.analytic import spec_cost
from bacalhaunet.cost.nonzero import nonzero_weights
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.saved import save_model
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.fit import FitResult, fit
from bacalhaunet.training.run import MODEL_FILE, claim_folder
from bacalhaunet.training.run_data import TrainingData
from bacalhaunet.training.start import SAVED_SUFFIX, start_network, with_bits


def compress(config: CompressConfig, folder: Path, *, data: TrainingData | None = None) -> list[PathStep]:
    """Take a network down the road that ``config`` describes, going on where an earlier call stopped.

    Args:
        config: The road.
        folder: Gets ``config.yaml``, a folder for each step, ``path.json`` and ``model.safetensors``.
        data: Frames, if they are open already; else those ``config`` names.

    Returns:
        The steps in order. The last one that is kept is the network in ``model.safetensors``.

    Raises:
        ConfigError: If the folder was begun with other settings, or what is asked for cannot be reached.
    """
    claim_folder(folder, config.to_yaml())
    shipped = shipped_networks().get(config.network)
    network = config.network if shipped is None else str(shipped.model)
    steps = Steps(config, folder, network, data)
    _start(steps)
    if config.target_score is not None:
        _to_score(steps, config.target_score)
    else:
        _to_accuracy(steps, config.min_accuracy or 0.0)
    _statistics(steps)
    saved, asked = steps.here(), {"target_score": config.target_score, "min_accuracy": config.min_accuracy}
    save_model(folder / MODEL_FILE, saved.network, saved.spec, saved.labels, saved.metrics)
    write_path(folder / PATH_FILE, steps.done, asked)
    return steps.done


def _start(steps: Steps) -> None:
    """Take the network as it is; one without weights is trained."""
    trained = Path(steps.network).suffix == SAVED_SUFFIX
    epochs = steps.config.start_epochs

    def begin() -> Begun:
        spec, network = start_network(steps.settings(epochs), steps.data)
        _check_target(spec, steps.config)
        return Begun(spec, network, {"network": steps.config.network})

    steps.do("start", "as it was" if trained else "trained", begin, None if trained else Training(epochs, _fine_tune))


def _check_target(spec: NetworkSpec, config: CompressConfig) -> None:
    """Refuse a target that no road of these bits reaches, before anything is trained."""
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
    """Go to the same bits everywhere, unless that saves nothing; say whether the road may go on."""
    saved = steps.here()
    spec = _learning_steps(steps, with_bits(saved.spec, steps.config.uniform(bits)))
    if spec_cost(spec, nonzero_weights(saved.network, saved.spec)).score >= steps.last_kept.score:
        return True

    def begin() -> Begun:
        return Begun(spec, lowered_network(spec, saved.network, steps.frames), {"bits": bits})

    training = Training(steps.config.bits_epochs, _fine_tune)
    return steps.do(f"bits-{bits}", f"{bits} bits", begin, training, least=least).kept


def _allocate(steps: Steps, target: float, least: float | None) -> None:
    """Go to bits of each layer's own."""
    allocation, saved = steps.config.allocation, steps.here()
    if allocation.factor == 1:
        return

    def begin() -> Begun:
        validation, folder = steps.data.validation, steps.folder / "allocation"
        spec = _learning_steps(steps, saved.spec)
        network = lowered_network(spec, saved.network, steps.frames)
        found = allocate(network, spec, target, allocation, validation, steps.frames, folder, say)
        return Begun(found.spec, found.network, {"lowered": list(found.lowered)})

    training = Training(steps.config.bits_epochs, _fine_tune)
    steps.do("allocation", "bits per layer", begin, training, least=least)


def _learning_steps(steps: Steps, spec: NetworkSpec) -> NetworkSpec:
    """Return ``spec`` with learned steps of weights, if the road has them."""
    return replace(spec, learned_weight_steps=spec.learned_weight_steps or steps.config.learned_steps)


def _prune(steps: Steps, target: float, least: float | None) -> bool:
    """Prune to a score while training on; say whether the road may go on."""
    pruning = steps.config.pruning

    def begin() -> Begun:
        saved = steps.here()
        return Begun(saved.spec, saved.network, {"target": target})

    def train(begun: Begun, data: TrainingData, settings: TrainConfig, folder: Path) -> FitResult:
        return prune_to_score(begun.network, begun.spec, target, pruning, data, settings, folder)

    training = Training(steps.config.prune_epochs, train)
    return steps.do(f"prune-{target:.4g}", f"pruned to {target:.4g}", begin, training, least=least).kept


def _statistics(steps: Steps) -> None:
    """Estimate BatchNorm statistics on training frames; validation says whether they are kept."""
    batches, source = steps.config.norm_batches, steps.data.source
    if not batches:
        return

    def begin() -> Begun:
        saved = steps.here()
        estimate_norms(saved.network, (source.batch(number) for number in range(batches)))
        return Begun(saved.spec, saved.network, {"batches": batches})

    steps.do("norms", "BatchNorm statistics", begin, least=steps.last_kept.accuracy)


def _fine_tune(begun: Begun, data: TrainingData, settings: TrainConfig, folder: Path) -> FitResult:
    """Train on; weights that are zero stay so."""
    network = begun.network
    callbacks = [KeepZeros(magnitude_masks(network, 0.0))] if density(network) < 1 else []
    return fit(
        network,
        data.batches(),
        data.validation,
        settings,
        folder,
        classes=data.classes,
        title=folder.name,
        callbacks=callbacks,
    )
