"""``bacalhaunet search best``: write a trial's specification and say how to train it in full."""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.search_show import add_study, study_results
from bacalhaunet.outputs import write_text
from bacalhaunet.search.front import best_result

EXAMPLE = """\
example: the cheapest network of at least 56 %, and the command that trains it
  bacalhaunet search best runs/search --min-accuracy 0.56 -o cheapest.yaml
the most accurate at the score of 2021's winner or below
  bacalhaunet search best runs/search --max-score 0.016211 -o balanced.yaml"""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    add_study(parser)
    parser.add_argument("--min-accuracy", type=float, help="least validation accuracy, 0 to 1; the cheapest is taken")
    parser.add_argument("--max-score", type=float, help="largest score; the most accurate is taken")
    parser.add_argument("-o", "--output", type=Path, required=True, help="YAML file for the specification")


def run(arguments: Namespace) -> None:
    """Write the specification and print the commands."""
    best = best_result(study_results(arguments), min_accuracy=arguments.min_accuracy, max_score=arguments.max_score)
    output = arguments.output
    write_text(output, best.spec.to_yaml())
    print(f"trial {best.number}: {100 * best.accuracy:.2f} % at {best.score:.5f} in the search", file=sys.stderr)
    trained = f"runs/{output.stem}"
    print(f"bacalhaunet train --network {output} --optimizer.schedule one-cycle --epochs 100 --output {trained}")
    if best.min_abs_weight > 0:
        print(
            f"bacalhaunet prune --network {trained}/model.safetensors --epochs 10 "
            f"--steps '[\"1e-4:{best.min_abs_weight:.4g}\"]' --output {trained}-pruned"
        )
