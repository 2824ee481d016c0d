"""``bacalhaunet reproduce``: the BacalhauNet report, run again."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet_paper.budgets import ALL, BUDGETS, REPRODUCED, SEED, START, TABLE_BUDGETS, BudgetName, Setting

EXAMPLE = f"""\
example: the main job, in ten minutes on two cores
  bacalhaunet reproduce --budget quick
It makes twin frames, takes the shipped float network to 6 bits, prunes it three times by the report's lambda and
epsilon, measures and scores every step, exports it, compares and times the engines, writes a recording and names it,
and writes runs/reproduce-quick/report.html.
from weights drawn at random, by the report's own settings
  bacalhaunet reproduce --from-scratch
on the real data set, with more frames and epochs
  bacalhaunet reproduce --budget cpu --data GOLD_XYZ_OSC.0001_1024.hdf5
one table or figure of the report, ours beside the paper's: {", ".join(REPRODUCED)}
  bacalhaunet reproduce figure4 --budget quick
all of them, sharing trainings, in at most six hours on two cores
  bacalhaunet reproduce all --budget cpu
Interrupted, the same command goes on where it stopped."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    names = ", ".join([*REPRODUCED, ALL])
    parser.add_argument("name", nargs="?", default=None, help=f"a table or figure (default: the main job): {names}")
    parser.add_argument("--budget", type=BudgetName, default="quick", help="minutes, hours, or a GPU")
    parser.add_argument("--data", type=Path | None, default=None, help="a RadioML file (default: frames of the twin)")
    parser.add_argument("--start", type=str, default=START, help="the float network that the main job starts from")
    parser.add_argument("--from-scratch", action="store_true", help="train the main job's network from drawn weights")
    parser.add_argument(
        "--seed", type=int | None, default=None, help=f"of frames, their order and weights ({SEED}; of a table 1)"
    )
    parser.add_argument(
        "-o", "--output", type=Path | None, default=None, help="folder (runs/reproduce-BUDGET, or runs/tables-BUDGET)"
    )


def run(arguments: Namespace) -> None:
    """Do the main job, or a table or figure, and print what came out."""
    if arguments.name is not None:
        from bacalhaunet_paper.registry import reproduce

        folder = arguments.output or Path("runs") / f"tables-{arguments.budget}"
        seed = 1 if arguments.seed is None else arguments.seed
        for path in reproduce(arguments.name, Setting(TABLE_BUDGETS[arguments.budget], arguments.data, seed), folder):
            print(path)
        return
    from bacalhaunet_paper.pipeline import Pipeline, PipelineConfig

    folder = arguments.output or Path("runs") / f"reproduce-{arguments.budget}{'-scratch' * arguments.from_scratch}"
    start = None if arguments.from_scratch else arguments.start
    seed = SEED if arguments.seed is None else arguments.seed
    Pipeline(PipelineConfig(BUDGETS[arguments.budget], start, arguments.data, seed), folder).run()
