"""``bacalhaunet models``: the networks that go by name, and the card of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bacalhaunet.errors import ConfigError

_EPILOG = (
    "examples: 'bacalhaunet models' shows every network with its score and accuracy; 'bacalhaunet models paper' the "
    "card of a shipped one; 'bacalhaunet models paper --recipe again' writes the settings of the runs that made it, "
    "and again/run.sh, which makes them again. Shipped networks have weights, and the figures on their cards. Networks "
    "of the catalog are specifications: score, bit_ops and bit_mem are those of the float network, accuracy is the "
    "paper's, on the real data; vgg10's is published for 8 bits. 'bacalhaunet train --network prototype --output "
    "runs/prototype' trains one."
)

WIDTH = 120
"""Columns where the output is no terminal and has no width to keep to."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    parser.add_argument("name", nargs="?", type=str, default=None, help="one network: its card (all networks)")
    parser.add_argument("--recipe", type=Path | None, default=None, help="folder to write its recipe to")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def run(arguments: Namespace) -> None:
    """List, or show one, and print."""
    if arguments.name is not None:
        _run_one(arguments.name, arguments.recipe, as_json=arguments.json)
        return
    if arguments.recipe is not None:
        raise ConfigError("a recipe needs a network", allowed="the name of a shipped network before --recipe")
    rows = networks()
    if arguments.json:
        print(json.dumps([{key: value for key, value in row.items() if key not in _LISTED_ONLY} for row in rows]))
    else:
        _print(rows)


_LISTED_ONLY = ("summary", "interval", "frames_seen", "profile")


def networks() -> list[dict[str, Any]]:
    """Return shipped networks, then the catalog: name, shipped, score, bit_ops, bit_mem, accuracy and what is listed.

    ``interval``, ``frames_seen`` and ``profile`` are None for the catalog.
    """
    from bacalhaunet.cost.of import cost_of
    from bacalhaunet.models.catalog import CATALOG
    from bacalhaunet.models.shipped_networks import by_accuracy, shipped_networks

    rows = []
    for network in by_accuracy(shipped_networks()):
        card = network.card
        figures = {key: card.get(key) for key in ("score", "bit_ops", "bit_mem", "accuracy", "interval", "profile")}
        seen = card.get("training", {}).get("frames_seen")
        summary = card.get("summary", "")
        rows.append({"name": network.name, "shipped": True, **figures, "frames_seen": seen, "summary": summary})
    for entry in CATALOG.values():
        report = cost_of(entry.spec)
        rows.append(
            {
                "name": entry.name,
                "shipped": False,
                "score": report.score,
                "bit_ops": report.bit_ops,
                "bit_mem": report.bit_mem,
                "accuracy": entry.figures[0].accuracy if entry.figures else None,
                "interval": None,
                "profile": None,
                "frames_seen": None,
                "summary": entry.summary,
            }
        )
    return rows


def console() -> Console:
    """Return where tables are printed."""
    made = Console(highlight=False)
    if not made.is_terminal:
        made.width = WIDTH
    return made


def _run_one(name: str, recipe: Path | None, *, as_json: bool) -> None:
    from bacalhaunet.cli.models_card import print_card, print_entry
    from bacalhaunet.models.catalog import CATALOG
    from bacalhaunet.models.resolve import unknown_network
    from bacalhaunet.models.shipped_networks import shipped_networks

    shipped = shipped_networks()
    if name in CATALOG and name not in shipped:
        if recipe is not None:
            raise ConfigError(f"{name} has no weights and no recipe", allowed="the name of a shipped network")
        print_entry(CATALOG[name], console(), as_json=as_json)
        return
    if name not in shipped:
        raise unknown_network(name)
    card = shipped[name].card
    if recipe is not None:
        from bacalhaunet.report.recipe import write_recipe

        print(write_recipe(card["training"]["recipe"], recipe))
    elif as_json:
        print(json.dumps(card))
    else:
        print_card(card, console())


def _print(rows: list[dict[str, Any]]) -> None:
    shipped = [row for row in rows if row["shipped"]]
    if shipped:
        table = _table("shipped, with weights", ("score", "accuracy", "95 % interval", "on", "trained"))
        for row in shipped:
            interval = "-".join(f"{100 * bound:.2f}" for bound in row["interval"] or ())
            seen = "" if row["frames_seen"] is None else f"{row['frames_seen'] / 1e6:.1f} M frames"
            accuracy = f"{100 * row['accuracy']:.2f} %"
            cells = (f"{row['score']:.5g}", accuracy, interval, row["profile"] or "", seen)
            table.add_row(row["name"], *cells, row["summary"])
        console().print(table)
    table = _table("catalog, without weights", ("score", "paper's"))
    for row in rows:
        if not row["shipped"]:
            accuracy = "" if row["accuracy"] is None else f"{100 * row['accuracy']:.2f} %"
            table.add_row(row["name"], f"{row['score']:.4f}", accuracy, row["summary"])
    console().print(table)
    if shipped:
        console().print(f"'bacalhaunet models {shipped[0]['name']}' shows a card.")


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("what it is")
    return table
