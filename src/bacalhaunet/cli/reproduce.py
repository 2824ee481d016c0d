"""``bacalhaunet reproduce``: the BacalhauNet report, run again."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.report.reproduction.budgets import BUDGETS, BudgetName
from bacalhaunet.report.reproduction.road import Road, road_config

EXAMPLE = """\
example: the whole road in a few minutes on two cores
  bacalhaunet reproduce --budget quick
It makes a small twin file, trains BacalhauNet at 6 bits, prunes it three times, measures and scores every step,
exports it, compares the engines, writes and classifies a recording, and writes runs/reproduce-quick/report.html.
on the real data set, with more frames and epochs
  bacalhaunet reproduce --budget cpu --data GOLD_XYZ_OSC.0001_1024.hdf5
Interrupted, the same command goes on where it stopped."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("--budget", type=BudgetName, default="quick", help="minutes, hours, or a GPU")
    parser.add_argument("--data", type=Path | None, default=None, help="a RadioML file (default: make a twin file)")
    parser.add_argument("--seed", type=int, default=1, help="of weights, frames and their order")
    parser.add_argument("-o", "--output", type=Path | None, default=None, help="folder (runs/reproduce-BUDGET)")


def run(arguments: Namespace) -> None:
    """Run the road and print where its report is."""
    budget = BUDGETS[arguments.budget]
    folder = arguments.output or Path("runs") / f"reproduce-{budget.name}"
    print(Road(road_config(budget, arguments.data, arguments.seed), folder).run())
