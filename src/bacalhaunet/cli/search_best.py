"""``bacalhaunet search best``: write a trial's specification and say how to train it in full."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.search_show import add_study
from bacalhaunet.cost.analytic import spec_cost
from bacalhaunet.outputs import write_text
from bacalhaunet.training.config import TrainConfig, plain

if TYPE_CHECKING:
    from bacalhaunet.search.front import Result

EXAMPLE = """\
example: the cheapest network of at least 56 %, and the command that trains it
  bacalhaunet search best runs/search --min-accuracy 0.56 -o cheapest.yaml
the most accurate at the score of 2021's winner or below
  bacalhaunet search best runs/search --max-score 0.016211 -o balanced.yaml"""

_OF_A_TRIAL = {"frames_per_epoch", "validation_frames_per_cell"}
"""Settings of the data that keep a trial short; a training in full has its own."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    add_study(parser)
    parser.add_argument("--min-accuracy", type=float, help="least validation accuracy, 0 to 1; the cheapest is taken")
    parser.add_argument("--max-score", type=float, help="largest score; the most accurate is taken")
    parser.add_argument("-o", "--output", type=Path, required=True, help="YAML file for the specification")


def run(arguments: Namespace) -> None:
    """Write the specification and print the commands."""
    from bacalhaunet.search.front import best_result, results
    from bacalhaunet.search.study import read_study, settings_of, study_place

    study = read_study(study_place(arguments.folder, arguments.storage, arguments.study))
    best = best_result(results(study), min_accuracy=arguments.min_accuracy, max_score=arguments.max_score)
    write_text(arguments.output, best.spec.to_yaml())
    print(f"trial {best.number}: {100 * best.accuracy:.2f} % at {best.score:.5f} in the search", file=sys.stderr)
    for command in commands(best, settings_of(study), arguments.output):
        print(shlex.join(command))


def commands(best: Result, settings: Mapping[str, Any], spec: Path) -> list[list[str]]:
    """Return the commands that train a trial's network in full, and prune it as the search did.

    Args:
        best: The trial.
        settings: What the workers of its study shared.
        spec: Where its specification lies.
    """
    trained = f"runs/{spec.stem}"
    model, shared = f"{trained}/model.safetensors", _options(settings)
    found = [["bacalhaunet", "train", "--network", str(spec), *shared, "--epochs", "100", "--output", trained]]
    if best.min_abs_weight > 0:
        step = f"{settings.get('prune_weight_decay', 1e-4):g}:{best.min_abs_weight:.4g}"
        how = ["prune", "--network", model, *shared, "--epochs", "10", "--steps", f'["{step}"]']
        found.append(["bacalhaunet", *how, "--output", f"{trained}-pruned"])
    elif settings.get("prune_by") == "score" and best.score < 0.999 * spec_cost(best.spec).score:
        how = ["compress", model, "--target-score", f"{best.score:.6g}", "--bits", "[]", "--allocation.factor", "1"]
        found.append(["bacalhaunet", *how, *shared, "-o", f"{trained}-pruned"])
    return found


def _options(settings: Mapping[str, Any]) -> list[str]:
    """Return as options what a search set of optimizer and data, where ``train`` would do otherwise."""
    usual, options = plain(TrainConfig()), []
    for group in ("optimizer", "data"):
        for name, value in settings.get(group, {}).items():
            if name not in _OF_A_TRIAL and value != usual[group][name]:
                options += ["--data" if name == "file" else f"--{group}.{name}", str(value)]
    return options
