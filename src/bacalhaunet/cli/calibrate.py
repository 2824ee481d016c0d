"""``bacalhaunet calibrate``: make a network's probabilities honest, and measure how honest they are."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from bacalhaunet.classify.calibration import Calibration, read_calibration, write_calibration
from bacalhaunet.classify.calibration_data import SIGNAL_FRAMES, frame_logits, recorded_signals, signal_logits
from bacalhaunet.classify.calibration_fit import CalibrationReport, calibrate, measure
from bacalhaunet.classify.engines import open_engine
from bacalhaunet.cli.progress import progress_line
from bacalhaunet.data.dataset import SOURCES, Frames, open_dataset
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.resolve import resolve_network
from bacalhaunet.radio.modulations import RADIOML

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bacalhaunet.classify.calibration_fit import Signals
    from bacalhaunet.classify.engines import Engine

_EPILOG = (
    "example: 'bacalhaunet calibrate network.onnx --data twin.hdf5' fits a temperature to the validation part and a "
    "correlation of frames to signals (recorded ones, or the twin's), and keeps both in the file, where 'classify' and "
    "'export' look. Labels never change. '--check --split test' measures what is in the file and writes nothing."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("target", type=str, help="an ONNX file or a saved model")
    add("--data", type=str, required=True, help=SOURCES)
    add(
        "--split",
        type=Literal["all", "train", "validation", "test"],
        default="validation",
        help="the part of the data",
    )
    add("--frames", type=int, default=50_000, help="frames of that part to use at most, evenly spread")
    add("--snr-min", type=float | None, default=None, help="smallest SNR label in dB")
    add("--snr-max", type=float | None, default=None, help="largest SNR label in dB")
    add("--signals", type=int, default=4, help="signals of each class and SNR for the correlation; 0 for none")
    add("--seed", type=int, default=2018, help="of these signals")
    add("--check", action="store_true", help="measure what is in the file; fit and write nothing")
    add("--output", "-o", type=str | None, default=None, help="the file to write (the target itself)")
    add("--engine", type=str, default="auto", help="what computes the network: auto, native, onnxruntime, torch")
    add("--threads", type=int | None, default=None, help="CPU threads (all cores)")
    add("--json", action="store_true", help="print one JSON document and nothing else")


def run(arguments: Namespace) -> None:
    """Fit, write and print."""
    if arguments.frames < 2 or arguments.signals < 0 or arguments.signals == 1:
        raise ConfigError(
            f"{arguments.frames} frames and {arguments.signals} signals", allowed="2 or more frames; 0, or 2 or more"
        )
    if not arguments.check and resolve_network(arguments.target).kind in ("shipped", "catalog"):
        raise ConfigError(
            f"{arguments.target} is a name, not a file", allowed="an ONNX file or a saved model, or --check"
        )
    engine = open_engine(arguments.target, arguments.engine, threads=arguments.threads)
    data = open_dataset(arguments.data, frame_length=engine.frame_length).part(arguments.split)
    frames = data.select(snr_min_db=arguments.snr_min, snr_max_db=arguments.snr_max).spread(arguments.frames)
    with progress_line("frames", "frames", len(frames)) as advance:
        logits, labels = frame_logits(engine, frames.batches(), frames.classes.names, advance)
    signals = _signals(engine, frames, logits, labels, arguments)
    if arguments.check:
        report = measure(read_calibration(arguments.target), logits, labels, signals)
    else:
        report = calibrate(logits, labels, signals)
        output = Path(arguments.output or arguments.target)
        write_calibration(Path(arguments.target), _kept(report, arguments), output)
        print(f"{output}: the calibration is in it", file=sys.stderr)
    if arguments.json:
        print(json.dumps(report.to_dict()))
    else:
        _print(report, arguments)


def _signals(
    engine: Engine, frames: Frames, logits: NDArray[np.float32], labels: NDArray[np.int64], arguments: Namespace
) -> Signals | None:
    """Return signals to fit how the frames of one signal err together: recorded ones, or the twin's.

    The twin's are made at every other SNR of the frames.
    """
    if not arguments.signals:
        return None
    recorded = recorded_signals(logits, labels, frames)
    if recorded is not None:
        return recorded
    if frames.classes != RADIOML or frames.snr_db is None:
        print("note: there are no signals of several frames; the correlation stays as it is", file=sys.stderr)
        return None
    snrs_db = sorted({float(snr) for snr in frames.snr_db})[::2]
    total = len(engine.labels) * len(snrs_db) * arguments.signals * SIGNAL_FRAMES
    with progress_line("signals", "frames", total) as advance:
        return signal_logits(engine, snrs_db, arguments.signals, arguments.seed, advance)


def _kept(report: CalibrationReport, arguments: Namespace) -> Calibration:
    """Return the calibration with what was measured, for the network's file."""
    measured = {
        "frames": report.after.answers,
        "data": Path(arguments.data).name,
        "split": arguments.split,
        "ece": [round(report.before.ece, 5), round(report.after.ece, 5)],
        "nll": [round(report.before.nll, 5), round(report.after.nll, 5)],
        "signal_ece": {str(count): round(one.ece, 5) for count, one in report.signals.items()},
    }
    return replace(report.calibration, measured=measured)


def _print(report: CalibrationReport, arguments: Namespace) -> None:
    console = Console(highlight=False)
    fitted = report.calibration
    console.print(
        f"{report.before.answers} frames, part {arguments.split!r}, accuracy {100 * report.after.accuracy:.2f} %: "
        f"temperature {fitted.temperature:g}, rising by exp({fitted.rise:g} entropy)",
        soft_wrap=True,
    )
    frames = Table("probabilities", "confidence %", "ECE", "negative log-likelihood")
    rows = {"as they are": report.before, "one temperature": report.constant, "calibrated": report.after}
    for name, one in rows.items():
        if one is not None:
            frames.add_row(name, f"{100 * one.confidence:.1f}", f"{one.ece:.4f}", f"{one.nll:.4f}")
    console.print(frames)
    if not report.signals:
        return
    console.print(f"frames of one signal are correlated by {report.calibration.correlation:g}")
    table = Table("frames pooled", "answers", "accuracy %", "confidence %", "ECE", "ECE of the plain mean")
    for count, one in report.signals.items():
        shown = (f"{100 * one.accuracy:.1f}", f"{100 * one.confidence:.1f}", f"{one.ece:.4f}")
        table.add_row(str(count), str(one.answers), *shown, f"{report.averaged[count].ece:.4f}")
    console.print(table)
