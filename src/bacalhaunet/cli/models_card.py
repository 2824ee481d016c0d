"""The card of a network on the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bacalhaunet.report.merged import group_counts
from bacalhaunet.report.recipe import in_words

if TYPE_CHECKING:
    from rich.console import Console

    from bacalhaunet.models.catalog import CatalogEntry

_BAR = 50
"""Columns of a bar of 100 %."""

_EIGHTHS = " ▏▎▍▌▋▊▉"


def print_card(card: Mapping[str, Any], console: Console) -> None:
    """Print what a shipped network is, what was measured, and how it was trained."""
    console.print(f"[bold]{card['name']}[/bold]: {card['summary']}\n")
    console.print(_facts(card))
    console.print(_by_snr(card))
    console.print(_by_modulation(card))
    console.print(_stages(card["training"]))


def print_entry(entry: CatalogEntry, console: Console, *, as_json: bool) -> None:
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
    table = Table("published", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("accuracy", "score"):
        table.add_column(heading, justify="right")
    table.add_column("source")
    for figure in entry.figures:
        accuracy = "" if figure.accuracy is None else f"{100 * figure.accuracy:.2f} %"
        table.add_row(figure.representation, accuracy, f"{figure.score:g}", figure.source)
    return table


def bar(share: float) -> str:
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
        table.add_row(snr, f"{100 * share:.1f}", bar(share))
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
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 and not heading else "right", no_wrap=True)
    return table
