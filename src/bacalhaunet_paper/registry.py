"""The tables and figures of the report that can be run again, by name, and the page of the documents about such a run.

``python -m bacalhaunet_paper.registry runs/tables-cpu docs`` writes the page; ``mkdocs.yml`` names it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import write_text
from bacalhaunet_paper.architectures import figure_3, figure_4, initial_experiments
from bacalhaunet_paper.budgets import ALL, REPRODUCED, Setting
from bacalhaunet_paper.figure_5 import figure_5
from bacalhaunet_paper.jobs import Jobs
from bacalhaunet_paper.network_table import Result
from bacalhaunet_paper.quantization import figure_2, table_3

REPRODUCTIONS: dict[str, Callable[[Jobs], tuple[Result, str]]] = dict(
    zip(REPRODUCED, (figure_2, table_3, figure_5, figure_4, figure_3, initial_experiments), strict=True)
)
"""What makes each: the result and its figure as SVG. ``all`` runs them in this order."""


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


PAGE, PICTURES = "notes/reproduced.md", "images/reproduced"

_INTRODUCTION = """\
# The report's tables and figures, run again

Ours beside the paper's, made by

```console
$ bacalhaunet reproduce all --budget {budget}
```

[The main job](../reproduce.md#tables-and-figures-of-the-report) says what each runs and what the budgets are.
Accuracies stand beside the paper's for their order and distances, not their height: the paper's networks saw {paper}
frames each, and accuracies of ours are {where}."""


def page(folder: Path) -> str:
    """Return the page of a folder of results, with the tables and figures that are there in the report's order.

    Raises:
        ConfigError: If the folder has no result.
    """
    found = [name for name in REPRODUCTIONS if (folder / f"{name}.json").is_file()]
    if not found:
        raise ConfigError(
            "the folder has no table or figure", where=str(folder), allowed="what 'bacalhaunet reproduce all' left"
        )
    facts = json.loads((folder / f"{found[-1]}.json").read_text(encoding="utf-8"))["protocol"]
    where = "on the twin" if "twin" in facts["data"] else f"on {facts['data'].split(':')[0]}"
    parts = [_INTRODUCTION.format(budget=facts["budget"], paper="46 million", where=where)]
    parts += [_part((folder / f"{name}.md").read_text(encoding="utf-8"), name) for name in found]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def write_page(folder: Path, documents: Path) -> Path:
    """Write the page and its pictures into the folder of the documents, and return the page."""
    text = page(folder)
    for name in REPRODUCTIONS:
        picture = folder / f"{name}.svg"
        if picture.is_file():
            write_text(documents / PICTURES / picture.name, picture.read_text(encoding="utf-8"))
    write_text(documents / PAGE, text)
    return documents / PAGE


def _part(text: str, name: str) -> str:
    """Return one result as a section: headings one level down, the picture where the documents have it."""
    lower = re.sub(r"^(#+) ", r"#\1 ", text, flags=re.M)
    return lower.replace(f"]({name}.svg)", f"](../{PICTURES}/{name}.svg)")


def main(arguments: list[str]) -> None:
    """Write the page of the first argument's results into the second's documents."""
    print(write_page(Path(arguments[0]), Path(arguments[1])))


if __name__ == "__main__":
    main(sys.argv[1:])
