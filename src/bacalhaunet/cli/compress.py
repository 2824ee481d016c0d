"""``bacalhaunet compress``: take a network to a target score or a least accuracy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.data_option import name_data
from bacalhaunet.cli.parser import instantiate
from bacalhaunet.compression.config import CompressConfig

if TYPE_CHECKING:
    from bacalhaunet.compression.path import PathStep

EXAMPLE = """\
example: BacalhauNet, trained first, to half of the winner's score
  bacalhaunet compress bacalhaunet --target-score 0.008 -o runs/lite
a trained network, as far as 56 % go, with a teacher
  bacalhaunet compress runs/six-bits/model.safetensors --min-accuracy 0.56 \\
      --distillation.teacher runs/wide/model.safetensors -o runs/lite-56
no change of bits, pruning alone
  bacalhaunet compress runs/six-bits/model.safetensors --target-score 0.012 --bits [] --allocation.factor 1 -o runs/own
The folder gets model.safetensors, path.json and path.svg. Accuracies and choices are of validation frames.
Killed or interrupted, the same command goes on where it stopped."""

_OWN = ("target_score", "min_accuracy")


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("--config", action="config", help="YAML with any of the settings below")
    parser.add_argument("start", nargs="?", metavar="NETWORK", help="what to compress; the same as --network")
    parser.add_argument("--target-score", type=float | None, default=None, help="score to reach")
    parser.add_argument("--min-accuracy", type=float | None, default=None, help="validation accuracy to keep, 0 to 1")
    parser.add_class_arguments(CompressConfig, as_group=False, skip=set(_OWN))
    name_data(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")


def run(arguments: Namespace) -> None:
    """Compress and say what came out."""
    values = arguments.clone()
    output = Path(values.pop("output"))
    values.pop("config", None)
    values["network"] = values.pop("start") or values["network"]
    from bacalhaunet.cli.compress_picture import draw_path
    from bacalhaunet.compression.pipeline import compress

    steps = compress(instantiate(CompressConfig, values), output)
    draw_path(steps, output)
    print("\n".join(table(steps)))
    print(f"network: {output / 'model.safetensors'}; path: {output / 'path.json'}, {output / 'path.svg'}")
    print(f"next: bacalhaunet evaluate {output / 'model.safetensors'} --data FILE --split test", file=sys.stderr)


def table(steps: list[PathStep]) -> list[str]:
    """Return the steps as lines of text."""
    lines = [f"{'step':<22} {'accuracy':>9} {'score':>9} {'density':>8} {'frames':>12}"]
    for step in steps:
        accuracy, dense = f"{100 * step.accuracy:.2f} %", f"{100 * step.density:.1f} %"
        left = "" if step.kept else "  left"
        lines.append(f"{step.title:<22} {accuracy:>9} {step.score:>9.5f} {dense:>8} {step.frames:>12,}{left}")
    return lines
