"""``bacalhaunet train``: train a network as one YAML file and dotted overrides say."""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.data_option import name_data
from bacalhaunet.cli.parser import instantiate
from bacalhaunet.training.config import TrainConfig

EXAMPLE = """\
example: BacalhauNet at 6 bits, residual sums quantized, an hour or so on two cores
  bacalhaunet train --network bacalhaunet --bits.weight 6 --epochs 10 --output runs/six-bits
the same from a file, one setting changed
  bacalhaunet train --config runs/six-bits/config.yaml --seed 2 --output runs/six-bits-2
on the real data set
  bacalhaunet train --data GOLD_XYZ_OSC.0001_1024.hdf5 --output runs/real
Killed or interrupted, the same command goes on where it stopped."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("--config", action="config", help="YAML with any of the settings below")
    parser.add_class_arguments(TrainConfig, as_group=False)
    name_data(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")


def run(arguments: Namespace) -> None:
    """Train and say what came out."""
    from bacalhaunet.training.run import train

    values = arguments.clone()
    output = Path(values.pop("output"))
    values.pop("config", None)
    config = instantiate(TrainConfig, values)
    trained = train(config, output)
    result = trained.result
    print(
        f"{trained.model}: validation accuracy {100 * result.validation_accuracy:.2f} % "
        f"after {result.frames_seen:,} frames in {result.seconds / 60:.1f} min",
    )
    print(f"next: bacalhaunet evaluate {trained.model} --data FILE --split test", file=sys.stderr)
