"""``bacalhaunet evaluate``: accuracy of a network on a file in RadioML 2018.01A's layout."""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.evaluation import Evaluation, evaluate
from bacalhaunet.classify.evaluation_data import Selection, batches
from bacalhaunet.data.radioml import RadioMLFile

if TYPE_CHECKING:
    from bacalhaunet.classify.engines import Engine

_EPILOG = (
    "example: 'bacalhaunet twin make twin.hdf5 --frames-per-cell 64 --seed 1' makes a file; "
    "'bacalhaunet evaluate network.onnx --data twin.hdf5 --split test' prints the accuracy on its test part with the "
    "95 % interval, by SNR and by modulation. The network may be a QONNX, QCDQ or float ONNX file from anywhere, a "
    "saved model, or a name that 'bacalhaunet models' lists."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    parser.add_argument("target", type=str, help="an ONNX file, a saved model, or the name of a network")
    parser.add_argument("--data", type=str, required=True, help="an HDF5 file in RadioML 2018.01A's layout")
    parser.add_argument(
        "--split",
        type=Literal["all", "train", "validation", "test"],
        default="test",
        help="the part of the file by the prescribed split",
    )
    parser.add_argument(
        "--engine", type=str, default="auto", help="what computes the network: auto, native, onnxruntime, torch"
    )
    parser.add_argument("--threads", type=int | None, default=None, help="CPU threads (all cores)")
    parser.add_argument("--snr-min", type=float | None, default=None, help="smallest SNR label in dB")
    parser.add_argument("--snr-max", type=float | None, default=None, help="largest SNR label in dB")
    parser.add_argument("--modulations", type=list[str] | None, default=None, help="only these, as [BPSK,QPSK]")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument(
        "--picture", type=Path | None, default=None, help="draw accuracy over SNR and the confusion matrix (.svg, .png)"
    )
    parser.add_argument(
        "-o", "--output", type=Path | None, default=None, help="folder for the figures, which 'report' makes a page of"
    )


def run(arguments: Namespace) -> None:
    """Evaluate, print, draw."""
    if arguments.picture is not None:
        from bacalhaunet.report.figures.style import check_picture

        check_picture(arguments.picture)
    names = None if arguments.modulations is None else tuple(arguments.modulations)
    selection = Selection(arguments.split, arguments.snr_min, arguments.snr_max, names)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", UserWarning)
        engine = open_engine(arguments.target, arguments.engine, threads=arguments.threads)
    for note in notes:
        if note.category is UserWarning:
            print(f"note: {note.message}", file=sys.stderr)
    with RadioMLFile(arguments.data) as file:
        result = _evaluate(engine, file, selection)
    if arguments.picture is not None:
        from bacalhaunet.report.figures.accuracy import evaluation_figure
        from bacalhaunet.report.figures.style import save_figure

        save_figure(
            evaluation_figure(result, f"{arguments.target}, {selection.part} part"), arguments.picture, "evaluation"
        )
    if arguments.output is not None:
        from bacalhaunet.report.run_folders import write_evaluation

        words = ["bacalhaunet", "evaluate", arguments.target, "--data", str(arguments.data), "--split", arguments.split]
        write_evaluation(result, arguments.target, str(arguments.data), shlex.join(words), arguments.output)
        print(f"next: bacalhaunet report {arguments.output}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(result.to_dict()))
    else:
        _print(result, f"{arguments.target} ({engine.name})", selection)


def _evaluate(engine: Engine, file: RadioMLFile, selection: Selection) -> Evaluation:
    indices = selection.indices(file)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("frames", total=len(indices))
        return evaluate(engine, batches(file, indices), progress=lambda frames: progress.advance(task, frames))


def _print(result: Evaluation, network: str, selection: Selection) -> None:
    console = Console(highlight=False)
    low, high = result.interval
    console.print(f"{network}, {result.frames} frames, part {selection.part!r}")
    console.print(f"accuracy {100 * result.accuracy:.2f} %, 95 % interval {100 * low:.2f} to {100 * high:.2f} %")
    by_snr = Table("SNR dB", "accuracy %", title="by SNR")
    for snr, value in result.accuracy_by_snr.items():
        by_snr.add_row(str(snr), f"{100 * value:.1f}")
    by_modulation = Table("modulation", "accuracy %", "most often taken for", title="by modulation")
    confusion = result.confusion
    for name, value in result.accuracy_by_modulation.items():
        row = confusion[result.names.index(name)].copy()
        row[result.names.index(name)] = 0
        other = f"{result.names[row.argmax()]} {100 * row.max() / confusion[result.names.index(name)].sum():.1f} %"
        by_modulation.add_row(name, f"{100 * value:.1f}", other if row.max() else "")
    console.print(by_snr)
    console.print(by_modulation)
