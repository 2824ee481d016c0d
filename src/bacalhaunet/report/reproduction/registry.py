"""The tables and figures of the report that can be run again, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bacalhaunet.errors import ConfigError
from bacalhaunet.report.reproduction.architectures import figure_3, figure_4, initial_experiments
from bacalhaunet.report.reproduction.figure_2 import figure_2
from bacalhaunet.report.reproduction.figure_5 import figure_5
from bacalhaunet.report.reproduction.jobs import Jobs
from bacalhaunet.report.reproduction.network_table import Result
from bacalhaunet.report.reproduction.table_3 import table_3
from bacalhaunet.report.reproduction.table_budgets import Setting

REPRODUCTIONS: dict[str, Callable[[Jobs], tuple[Result, str]]] = {
    "figure2": figure_2,
    "table3": table_3,
    "figure5": figure_5,
    "figure4": figure_4,
    "figure3": figure_3,
    "initial-experiments": initial_experiments,
}
"""What makes each: the result and its figure as SVG. ``all`` runs them in this order."""

ALL = "all"


def reproduce(name: str, setting: Setting, folder: Path) -> list[Path]:
    """Run one table or figure again, or all of them; what was done before in ``folder`` is not done again.

    Args:
        name: A key of ``REPRODUCTIONS``, or ``all``.
        setting: Budget, file and seed.
        folder: Gets ``NAME.md``, ``NAME.json`` and ``NAME.svg``, and the trainings under ``stages``, which tables and
            figures of one folder share.

    Returns:
        The Markdown files.

    Raises:
        ConfigError: If nothing has that name, or the folder was begun with another setting.
    """
    if name != ALL and name not in REPRODUCTIONS:
        raise ConfigError(f"no table or figure is called {name!r}", allowed=", ".join([*REPRODUCTIONS, ALL]))
    jobs = Jobs(setting, folder)
    written = []
    for wanted in REPRODUCTIONS if name == ALL else [name]:
        result, svg = REPRODUCTIONS[wanted](jobs)
        written.append(result.write(folder, svg))
        jobs.stages.say(f"{wanted}: {written[-1]}")
    return written
