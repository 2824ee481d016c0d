"""``bacalhaunet models``: the networks that go by name, and the card of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.resolve import unknown_network
from bacalhaunet.models.shipped_networks import by_accuracy, shipped_networks
from bacalhaunet.report.card import group_counts, in_words, write_recipe

if TYPE_CHECKING:
    from bacalhaunet.models.catalog import CatalogEntry

_EPILOG = (
    "examples: 'bacalhaunet models' shows every network with its score and accuracy; 'bacalhaunet models paper' the "
    "card of a shipped one; 'bacalhaunet models paper --recipe again' writes the settings of the runs that made it, "
    "and again/run.sh, which makes them again. Shipped networks have weights, and the figures on their cards. Networks "
    "of the catalog are specifications: score, bit_ops and bit_mem are those of the float network, accuracy is the "
    "paper's, on the real data; vgg10's is published for 8 bits. 'bacalhaunet train --network prototype --output "
    "runs/prototype' trains one."
)

WIDTH = 80
"""Columns where the output is no terminal."""

_BAR = 50
"""Columns of a bar of 100 %."""

_EIGHTHS = " ▏▎▍▌▋▊▉"


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
        _print_list(rows, _console())


_LISTED_ONLY = ("summary", "interval", "frames_seen", "profile")


def networks() -> list[dict[str, Any]]:
    """Return shipped networks, then the catalog: name, shipped, score, bit_ops, bit_mem, accuracy and what is listed.

    ``interval``, ``frames_seen`` and ``profile`` are None for the catalog.
    """
    from bacalhaunet.cost.of import cost_of
    from bacalhaunet.models.catalog import CATALOG

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


def _console() -> Console:
    """Return where tables are printed."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def _run_one(name: str, recipe: Path | None, *, as_json: bool) -> None:
    from bacalhaunet.models.catalog import CATALOG

    shipped = shipped_networks()
    if name in CATALOG and name not in shipped:
        if recipe is not None:
            raise ConfigError(f"{name} has no weights and no recipe", allowed="the name of a shipped network")
        _print_entry(CATALOG[name], _console(), as_json=as_json)
        return
    if name not in shipped:
        raise unknown_network(name)
    card = shipped[name].card
    if recipe is not None:
        print(write_recipe(card["training"]["recipe"], recipe))
    elif as_json:
        print(json.dumps(card))
    else:
        _print_card(card, _console())


def _print_list(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the shipped networks, each with what it is on a line below its figures, and the catalog."""
    shipped = [row for row in rows if row["shipped"]]
    if shipped:
        line = "{:<18} {:>8} {:>9} {:>14} {:>6} {:>15}".format
        console.print("[bold]shipped, with weights[/bold]")
        console.print(line("", "score", "accuracy", "95 % interval", "on", "trained"))
        for row in shipped:
            interval = "-".join(f"{100 * bound:.2f}" for bound in row["interval"] or ())
            seen = "" if row["frames_seen"] is None else f"{row['frames_seen'] / 1e6:.1f} M frames"
            accuracy = f"{100 * row['accuracy']:.2f} %"
            console.print(
                line(row["name"], f"{row['score']:.5g}", accuracy, interval, row["profile"] or "", seen), style="bold"
            )
            console.print(f"  {row['summary']}")
        console.print()
    table = _titled("catalog, without weights", ("", "score", "paper's"))
    table.add_column("what it is")
    for row in rows:
        if not row["shipped"]:
            accuracy = "" if row["accuracy"] is None else f"{100 * row['accuracy']:.2f} %"
            table.add_row(row["name"], f"{row['score']:.4f}", accuracy, row["summary"])
    console.print(table)
    if shipped:
        console.print(f"'bacalhaunet models {shipped[0]['name']}' shows a card.")


def _print_card(card: Mapping[str, Any], console: Console) -> None:
    """Print what a shipped network is, what was measured, and how it was trained."""
    console.print(f"[bold]{card['name']}[/bold]: {card['summary']}\n")
    console.print(_facts(card))
    console.print(_by_snr(card))
    console.print(_by_modulation(card))
    console.print(_stages(card["training"]))


def _print_entry(entry: CatalogEntry, console: Console, *, as_json: bool) -> None:
    """Print what a network of the catalog is and what was published of it."""
    if as_json:
        print(json.dumps({"name": entry.name, "summary": entry.summary, "spec": entry.spec.to_dict()}))
        return
    console.print(f"[bold]{entry.name}[/bold]: {entry.summary}; a specification without weights\n")
    if entry.figures:
        console.print(_published(entry))
    keys = ("kind", "kernel", "stride", "channels", "depth_multiplier")
    blocks = _titled("blocks", (*keys[:-1], "filters a channel"))
    for block in entry.spec.to_dict()["blocks"]:
        blocks.add_row(*(str(block.get(key, "")) for key in keys))
    console.print(blocks)
    console.print(f"'bacalhaunet models {entry.name} --json' prints the whole specification.")


def _published(entry: CatalogEntry) -> Table:
    table = Table("published", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("accuracy", "score"):
        table.add_column(heading, justify="right")
    table.add_column("source")
    for figure in entry.figures:
        accuracy = "" if figure.accuracy is None else f"{100 * figure.accuracy:.2f} %"
        table.add_row(figure.representation, accuracy, f"{figure.score:g}", figure.source)
    return table


def _bar(share: float) -> str:
    """Return a share of 0 to 1 as a bar of block characters, exact to an eighth of a column."""
    eighths = round(8 * _BAR * share)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8].strip())


def _facts(card: Mapping[str, Any]) -> Table:
    """Return the figures of the whole network."""
    low, high = card["interval"]
    measured, training, parity = card["measured"], card["training"], card["parity"]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    test = f"{card['frames']:,} test frames of the {card['profile']} profile, seed {card['test_seed']}"
    table.add_row("accuracy", f"{100 * card['accuracy']:.2f} %, 95 % interval {100 * low:.2f} to {100 * high:.2f} %")
    table.add_row("", f"on {test}, {card['frames_per_cell']} of each modulation at each SNR")
    if "high_snr" in card:
        high = card["high_snr"]
        right, tested = group_counts(card)
        table.add_row(f"from {high['from_db']} dB", f"{100 * high['accuracy']:.2f} % of all classes{_merged(high)}")
        table.add_row("", f"{100 * right / tested:.2f} % of the groups of classes that answers name too")
    if card.get("validation_accuracy") is not None:
        table.add_row("validation", f"{100 * card['validation_accuracy']:.2f} %; choices were made on it")
    table.add_row("score", f"{card['score']:.6f}  (bit_ops {card['bit_ops']:,}, bit_mem {card['bit_mem']:,})")
    sizes = card["bytes"]
    kept = f"{card['nonzero_weights']:,} of {card['weights']:,} not zero"
    table.add_row("weights", f"{kept}, {sizes['weights']:,} bytes packed")
    table.add_row("files", f"{sizes['onnx']:,} bytes as ONNX, {sizes['safetensors']:,} as a saved model")
    seeds = ", ".join(map(str, dict.fromkeys(training["seeds"])))
    seen = f"{training['frames_seen']:,} frames in {len(training['stages'])} stages, seeds {seeds}"
    table.add_row("trained", seen)
    for frames in dict.fromkeys(in_words(run["data"]) for run in training["recipe"]):
        table.add_row("", f"on {frames}")
    same = f"same class as {parity['engines'][1]} on {parity['same_class']:,} of {parity['frames']:,} frames"
    table.add_row("engine", f"{parity['engines'][0]}: {same}")
    if "calibration" in card:
        found = card["calibration"]
        errors = " to ".join(f"{100 * error:.1f}" for error in found["ece"])
        table.add_row("calibration", f"temperature {found['temperature']:.3f}; calibration error {errors} %")
    table.add_row("measured", f"{measured['date'][:10]}, {measured['machine']}: {measured['command']}")
    return table


def _merged(high: Mapping[str, Any]) -> str:
    """Say which classes are not told apart, and the accuracy with each such group as one."""
    groups = ", ".join("/".join(members) for members in high["merged"])
    return f"; {100 * high['merged_accuracy']:.2f} % with {groups} as one" if groups else ""


def _by_snr(card: Mapping[str, Any]) -> Table:
    """Return accuracy over SNR as bars."""
    table = _titled("accuracy over SNR", ("dB", "%"))
    table.add_column("")
    for snr, share in card["accuracy_by_snr"].items():
        table.add_row(snr, f"{100 * share:.1f}", _bar(share))
    return table


def _by_modulation(card: Mapping[str, Any]) -> Table:
    """Return each class with what it is most often taken for, over all SNRs."""
    names = card["labels"]
    by_class = zip(*card["confusion"].values(), strict=True)
    total = [[sum(counts) for counts in zip(*rows, strict=True)] for rows in by_class]
    table = _titled("by modulation", ("", "%"))
    table.add_column("most often taken for")
    for label, row in enumerate(total):
        frames = sum(row)
        if not frames:
            continue
        others = sorted(((count, names[k]) for k, count in enumerate(row) if k != label), reverse=True)[:2]
        said = ", ".join(f"{name} {100 * count / frames:.1f} %" for count, name in others if count)
        table.add_row(names[label], f"{100 * row[label] / frames:.1f}", said)
    return table


def _stages(training: Mapping[str, Any]) -> Table:
    """Return the trainings behind the network."""
    table = _titled("stages of training", ("", "frames", "validation %", "seed"))
    table.add_column("")
    for number, stage in enumerate(training["stages"], 1):
        step = stage.get("step")
        more = ", ".join(f"{key} {value:g}" for key, value in step.items()) if isinstance(step, Mapping) else step or ""
        accuracy = f"{100 * stage['validation_accuracy']:.2f}"
        table.add_row(f"{number} {stage['kind']}", f"{stage['frames']:,}", accuracy, str(stage["seed"]), more)
    return table


def _titled(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 and not heading else "right", no_wrap=True)
    return table
