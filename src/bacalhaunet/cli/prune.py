"""``bacalhaunet prune``: prune a trained network step by step, fine-tuning after each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.data_option import name_data
from bacalhaunet.cli.parser import instantiate
from bacalhaunet.compression.config import REPORT_STEPS, Importance, PruneStep
from bacalhaunet.errors import ConfigError
from bacalhaunet.training.config import TrainConfig

EXAMPLE = """\
example: the three steps of the BacalhauNet report
  bacalhaunet prune --network runs/six-bits/model.safetensors --epochs 5 --output runs/pruned
two steps of your own, each weight_decay:min_abs_weight
  bacalhaunet prune --network runs/six-bits/model.safetensors --steps '["5e-5:0.1", "5e-5:0.2"]' --output runs/own
the report's steps, with lengths that mean the same for every filter
  bacalhaunet prune --network runs/six-bits/model.safetensors --importance saliency --weight-rms 1.05 -o runs/saliency
the report's weight decays, to scores of your own instead of its thresholds
  bacalhaunet prune --network runs/six-bits/model.safetensors --importance saliency \\
      --scores '[0.046, 0.033, 0.0235]' --output runs/to-scores
A step sets every weight below min_abs_weight to zero and fine-tunes the rest; zeros stay zero.
Killed or interrupted, the same command goes on where it stopped."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("--config", action="config", help="YAML with any of the settings below")
    parser.add_class_arguments(TrainConfig, as_group=False)
    name_data(parser)
    steps = [f"{step.weight_decay:g}:{step.min_abs_weight:g}" for step in REPORT_STEPS]
    parser.add_argument(
        "--steps",
        type=list[str | dict[str, float]],
        default=steps,
        help="weight_decay:min_abs_weight of each step (default: the report's)",
    )
    parser.add_argument(
        "--importance",
        type=Importance,
        default="magnitude",
        help="what min_abs_weight is compared with: a weight's magnitude; its magnitude after each layer is brought to "
        "weight_rms; or its saliency, the loss it stands for per score, in units of weight_rms (default: magnitude)",
    )
    parser.add_argument(
        "--weight_rms",
        type=float | None,
        help="root mean square of what min_abs_weight is compared with, so that it means the same in every network",
    )
    parser.add_argument(
        "--scores",
        type=list[float] | None,
        help="score that each step is to reach, instead of min_abs_weight, which then decides nothing: the weights of "
        "the least importance go (default: prune by min_abs_weight)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")


def run(arguments: Namespace) -> None:
    """Prune and say what came out of each step."""
    from bacalhaunet.compression.pruning import prune

    values = arguments.clone()
    output, steps = Path(values.pop("output")), [_step(words) for words in values.pop("steps")]
    values.pop("config", None)
    criterion = {name: values.pop(name) for name in ("importance", "weight_rms", "scores")}
    config = instantiate(TrainConfig, values)
    for number, pruned in enumerate(prune(config, steps, output, **criterion), 1):
        print(
            f"step {number}: {pruned.model}: density {100 * pruned.density:.1f} %, "
            f"validation accuracy {100 * pruned.result.validation_accuracy:.2f} %"
        )


def _step(step: str | Mapping[str, float]) -> PruneStep:
    """Read a step as text, or as the mapping that a run's own ``config.yaml`` has."""
    try:
        if isinstance(step, Mapping):
            return PruneStep(**step)
        weight_decay, min_abs_weight = map(float, step.split(":"))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"a pruning step is {step!r}",
            allowed="weight_decay:min_abs_weight, such as 5e-5:0.15, or a mapping of these two names",
        ) from error
    return PruneStep(weight_decay, min_abs_weight)
