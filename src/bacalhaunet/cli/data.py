"""``bacalhaunet data``: look at every frame of a RadioML file, or at the classes and parts of any data set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bacalhaunet.cli.parser import CommandParser
from bacalhaunet.data.dataset import PARTS, SOURCES, open_dataset

if TYPE_CHECKING:
    from bacalhaunet.data.check import FileSummary, GroupSummary

_EPILOG = (
    "example: 'bacalhaunet data check GOLD_XYZ_OSC.0001_1024.hdf5' reads the whole file once, in bounded memory, and "
    "prints what it holds; at the first frame that is wrong it says which and ends with exit code 2. 'bacalhaunet data "
    "show recordings --frame_length 512' counts the frames of each class in the parts of any data set."
)
_CHECKED = "shapes, types, order of modulation, SNR and frame, one-hot labels and finite values"


def build(parser: ArgumentParser) -> None:
    """Add the subcommands."""
    parser.epilog = _EPILOG
    commands = parser.add_subcommands(required=True, dest="action")
    check = CommandParser(description=f"Check a file in RadioML 2018.01A's layout: {_CHECKED}.", epilog=_EPILOG)
    check.add_argument("file", type=str, help="an HDF5 file with X, Y and Z")
    check.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    commands.add_subcommand("check", check, help="check a file and print a summary")
    show = CommandParser(description="Show the classes of a data set, and how many frames of each its parts have.")
    show.add_argument("data", type=str, help=SOURCES)
    show.add_argument("--frame_length", type=int | None, default=None, help="samples that recordings are cut to (1024)")
    show.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    commands.add_subcommand("show", show, help="show the classes and parts of a data set")


def run(arguments: Namespace) -> None:
    """Check or show, and print."""
    if arguments.action == "show":
        _show(arguments.show)
        return
    from bacalhaunet.data.check import check_file

    chosen = arguments.check
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("frames", total=None)
        summary = check_file(chosen.file, lambda done, count: bar.update(task, completed=done, total=count))
    if chosen.json:
        print(json.dumps(summary.to_dict()))
    else:
        _print(summary)


def _show(chosen: Namespace) -> None:
    data = open_dataset(chosen.data, frame_length=chosen.frame_length)
    parts = {name: data.part(name) for name in PARTS if name != "all"}
    counts = {
        label: {name: int((part.labels == number).sum()) for name, part in parts.items()}
        for number, label in enumerate(data.classes.names)
    }
    snrs = [
        float(snr)
        for part in parts.values()
        if part.snr_db is not None
        for snr in (part.snr_db.min(), part.snr_db.max())
    ]
    if chosen.json:
        fields = {
            "frame_length": data.frame_length,
            "snr_db": [min(snrs), max(snrs)] if snrs else None,
            "frames": counts,
        }
        print(json.dumps({"classes": data.classes.to_dict(), **fields}))
        return
    table = Table("class", "group", *parts)
    for label, group in zip(data.classes.names, data.classes.group_of, strict=True):
        table.add_row(label, group, *(str(count) for count in counts[label].values()))
    console, known = Console(highlight=False), f"SNR {min(snrs):g} to {max(snrs):g} dB" if snrs else "SNR not known"
    console.print(f"{data.name}: {len(counts)} classes, frames of {data.frame_length} samples, {known}", soft_wrap=True)
    console.print(table)


def _print(summary: FileSummary) -> None:
    console = Console(highlight=False)
    console.print(f"{summary.path}: {summary.size_bytes / 1e9:.3f} GB, X {summary.storage}", soft_wrap=True)
    snrs = summary.snrs_db
    console.print(
        f"{summary.frames} frames: {len(summary.modulations)} modulations x {len(snrs)} SNRs ({min(snrs)} to "
        f"{max(snrs)} dB) x {summary.frames_per_cell}"
    )
    console.print(_table("modulation", summary.by_modulation))
    console.print(_table("SNR dB", {str(snr): group for snr, group in summary.by_snr.items()}))
    for note in summary.notes:
        console.print(f"note: {note}")
    console.print(f"passed: {_CHECKED}")


def _table(heading: str, groups: dict[str, GroupSummary]) -> Table:
    table = Table(heading)
    for column in ("frames", "power", "std of power", "smallest", "largest", "outside [-2, 3]"):
        table.add_column(column, justify="right")
    for name, group in groups.items():
        table.add_row(
            name,
            str(group.frames),
            f"{group.power:.3f}",
            f"{group.power_std:.3f}",
            f"{group.minimum:.2f}",
            f"{group.maximum:.2f}",
            f"{100 * group.outside_clip:.2f} %",
        )
    return table
