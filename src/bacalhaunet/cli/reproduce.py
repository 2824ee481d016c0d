"""``bacalhaunet reproduce``: the BacalhauNet report, run again."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet_paper.budgets import BUDGETS, TABLE_BUDGETS, BudgetName, Setting
from bacalhaunet_paper.pipeline import Road, road_config
from bacalhaunet_paper.registry import ALL, REPRODUCTIONS, reproduce

EXAMPLE = f"""\
example: the whole road in a few minutes on two cores
  bacalhaunet reproduce --budget quick
It makes a small twin file, trains BacalhauNet at 6 bits, prunes it three times, measures and scores every step,
exports it, compares the engines, writes and classifies a recording, and writes runs/reproduce-quick/report.html.
on the real data set, with more frames and epochs
  bacalhaunet reproduce --budget cpu --data GOLD_XYZ_OSC.0001_1024.hdf5
one table or figure of the report, ours beside the paper's: {", ".join(REPRODUCTIONS)}
  bacalhaunet reproduce figure4 --budget quick
all of them, sharing trainings, in at most six hours on two cores
  bacalhaunet reproduce all --budget cpu
Interrupted, the same command goes on where it stopped."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.formatter_class = RawDescriptionHelpFormatter
    names = ", ".join([*REPRODUCTIONS, ALL])
    parser.add_argument("name", nargs="?", default=None, help=f"a table or figure (default: the road): {names}")
    parser.add_argument("--budget", type=BudgetName, default="quick", help="minutes, hours, or a GPU")
    parser.add_argument("--data", type=Path | None, default=None, help="a RadioML file (default: frames of the twin)")
    parser.add_argument("--seed", type=int, default=1, help="of weights, frames and their order")
    parser.add_argument(
        "-o", "--output", type=Path | None, default=None, help="folder (runs/reproduce-BUDGET, or runs/tables-BUDGET)"
    )


def run(arguments: Namespace) -> None:
    """Run the road, or a table or figure, and print where its report is."""
    if arguments.name is not None:
        folder = arguments.output or Path("runs") / f"tables-{arguments.budget}"
        setting = Setting(TABLE_BUDGETS[arguments.budget], arguments.data, arguments.seed)
        for path in reproduce(arguments.name, setting, folder):
            print(path)
        return
    budget = BUDGETS[arguments.budget]
    folder = arguments.output or Path("runs") / f"reproduce-{budget.name}"
    print(Road(road_config(budget, arguments.data, arguments.seed), folder).run())
