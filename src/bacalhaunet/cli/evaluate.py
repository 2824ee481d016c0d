"""``bacalhaunet evaluate``: accuracy of a network on a data set."""

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
from bacalhaunet.classify.evaluation import evaluate
from bacalhaunet.data.dataset import SOURCES, Frames, open_dataset
from bacalhaunet.data.evaluation import Evaluation

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
    parser.add_argument("--data", type=str, required=True, help=SOURCES)
    parser.add_argument(
        "--split",
        type=Literal["all", "train", "validation", "test"],
        default="test",
        help="the part of the data",
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
        from bacalhaunet.report.style import check_picture

        check_picture(arguments.picture)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", UserWarning)
        engine = open_engine(arguments.target, arguments.engine, threads=arguments.threads)
    for note in notes:
        if note.category is UserWarning:
            print(f"note: {note.message}", file=sys.stderr)
    frames = open_dataset(arguments.data, frame_length=engine.frame_length).part(arguments.split)
    limits = {"snr_min_db": arguments.snr_min, "snr_max_db": arguments.snr_max, "names": arguments.modulations}
    result = _evaluate(engine, frames.select(**limits))
    _write(result, arguments)
    if arguments.json:
        print(json.dumps(result.to_dict()))
    else:
        _print(result, f"{arguments.target} ({engine.name})", arguments.split)


def _write(result: Evaluation, arguments: Namespace) -> None:
    """Draw the picture and write the folder that were asked for."""
    if arguments.picture is not None:
        from bacalhaunet.report.figures_of_runs import evaluation_figure
        from bacalhaunet.report.style import save_figure

        figure = evaluation_figure(result, f"{arguments.target}, {arguments.split} part")
        save_figure(figure, arguments.picture, "evaluation")
    if arguments.output is not None:
        from bacalhaunet.report.run import write_evaluation

        words = ["bacalhaunet", "evaluate", arguments.target, "--data", arguments.data, "--split", arguments.split]
        write_evaluation(result, arguments.target, arguments.data, shlex.join(words), arguments.output)
        print(f"next: bacalhaunet report {arguments.output}", file=sys.stderr)


def _evaluate(engine: Engine, frames: Frames) -> Evaluation:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("frames", total=len(frames))
        return evaluate(engine, frames.batches(), frames.classes.names, lambda count: progress.advance(task, count))


def _print(result: Evaluation, network: str, part: str) -> None:
    console = Console(highlight=False)
    low, high = result.interval
    console.print(f"{network}, {result.frames} frames, part {part!r}")
    console.print(f"accuracy {100 * result.accuracy:.2f} %, 95 % interval {100 * low:.2f} to {100 * high:.2f} %")
    by_snr = Table("SNR dB", "accuracy %", title="by SNR")
    for snr, value in result.accuracy_by_snr.items():
        by_snr.add_row(str(snr), f"{100 * value:.1f}")
    by_modulation = Table("class", "accuracy %", "most often taken for", title="by class")
    confusion = result.confusion
    for name, value in result.accuracy_by_modulation.items():
        row = confusion[result.names.index(name)].copy()
        row[result.names.index(name)] = 0
        other = f"{result.names[row.argmax()]} {100 * row.max() / confusion[result.names.index(name)].sum():.1f} %"
        by_modulation.add_row(name, f"{100 * value:.1f}", other if row.max() else "")
    if result.accuracy_by_snr:
        console.print(by_snr)
    console.print(by_modulation)
