"""``bacalhaunet search run``: run trials of a study until it has as many as were asked for."""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.data_option import name_data
from bacalhaunet.cli.parser import instantiate
from bacalhaunet.search.settings import SearchConfig

EXAMPLE = """\
example: 100 trials, the networks of the catalog first
  bacalhaunet search run --trials 100 --output runs/search
a narrower space, from a file that 'search run' left, one setting changed
  bacalhaunet search run --config runs/search/config.yaml --space.blocks.high 4 --output runs/shallow
on many machines, the same command on each
  bacalhaunet search run --storage postgresql://user@host/db --study lite --trials 1000 --output runs/lite
Killed or interrupted, the same command goes on; a trial whose worker was killed is taken up again."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("--config", action="config", help="YAML with any of the settings below")
    parser.add_class_arguments(SearchConfig, as_group=False)
    name_data(parser)
    parser.add_argument("--storage", type=str, help="URL of a PostgreSQL database (default: a SQLite file in --output)")
    parser.add_argument("--study", type=str, help="name of the study (default: the name of --output)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the search")


def run(arguments: Namespace) -> None:
    """Search."""
    from bacalhaunet.search.study import study_place
    from bacalhaunet.search.worker import work

    values = arguments.clone()
    output, storage, name = Path(values.pop("output")), values.pop("storage"), values.pop("study")
    values.pop("config", None)
    config = instantiate(SearchConfig, values)
    work(study_place(output, storage, name), config, output, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"next: bacalhaunet search show {output}{_where(storage, name)}", file=sys.stderr)


def _where(storage: str | None, name: str | None) -> str:
    return (" --storage URL" if storage else "") + (f" --study {name}" if name else "")
