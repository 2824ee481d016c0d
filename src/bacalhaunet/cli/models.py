"""``bacalhaunet models``: the networks that go by name."""

from __future__ import annotations

import json
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

_EPILOG = (
    "examples: 'bacalhaunet models' shows every network with its score and accuracy; "
    "'bacalhaunet cost prototype' then shows where one's score comes from, 'bacalhaunet train prototype' trains it. "
    "Networks of the catalog are specifications without weights: score, bit_ops and bit_mem are those of the float "
    "network, accuracy is the paper's, on the real data; vgg10's is published for 8 bits. Shipped networks have "
    "weights, and the figures on their cards."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def run(arguments: Namespace) -> None:
    """List and print."""
    rows = networks()
    if arguments.json:
        print(json.dumps([{key: value for key, value in row.items() if key != "summary"} for row in rows]))
    else:
        _print(rows)


def networks() -> list[dict[str, Any]]:
    """Return shipped networks, then the catalog: name, shipped, score, bit_ops, bit_mem, accuracy and summary."""
    from bacalhaunet.cost.of import cost_of
    from bacalhaunet.models.catalog import CATALOG
    from bacalhaunet.models.shipped_networks import shipped_networks

    rows = []
    for network in shipped_networks().values():
        card = network.card
        figures = {key: card.get(key) for key in ("score", "bit_ops", "bit_mem", "accuracy")}
        rows.append({"name": network.name, "shipped": True, **figures, "summary": card.get("summary", "")})
    for entry in CATALOG.values():
        report = cost_of(entry.spec)
        rows.append(
            {
                "name": entry.name,
                "shipped": False,
                "score": report.score,
                "bit_ops": report.bit_ops,
                "bit_mem": report.bit_mem,
                "accuracy": entry.figures[0].accuracy,
                "summary": entry.summary,
            }
        )
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table()
    table.add_column("name", no_wrap=True)
    table.add_column("weights")
    for heading in ("score", "accuracy"):
        table.add_column(heading, justify="right")
    table.add_column("what it is")
    for row in rows:
        accuracy = "" if row["accuracy"] is None else f"{100 * row['accuracy']:.2f} %"
        weights = "shipped" if row["shipped"] else "none"
        table.add_row(row["name"], weights, f"{row['score']:.4f}", accuracy, row["summary"])
    Console(highlight=False).print(table)
