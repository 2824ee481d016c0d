"""``bacalhaunet classify --detect``: name the modulation of every signal of a capture."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
from argparse import BooleanOptionalAction
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.frame_log import FrameLog
from bacalhaunet.classify.front_end.classification import (
    COLUMNS,
    NO_SIGNAL,
    CaptureClassification,
    Frequencies,
    SignalAnswer,
    capture_summary,
    found_signals,
    shown_label,
    signal_annotations,
    signal_boxes,
    signal_object,
)
from bacalhaunet.classify.picture import check_picture, write_picture
from bacalhaunet.classify.recording import LabelledFrames, RecordingSummary
from bacalhaunet.classify.recording_output import JsonDocument, annotated_metadata
from bacalhaunet.cli.classify_progress import kept_progress, progress_line
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import whole_file, write_text

_SURE = 0.95
_UNIT = "in Hz (cycles a sample if the sample rate is unknown)"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the front end."""
    add = parser.add_argument
    add(
        "--detect",
        action=BooleanOptionalAction,
        default=None,
        help="look for signals in the capture and bring each to 8 samples a symbol before it is classified; without "
        "this and the three options below, the recording is taken as it is",
    )
    add("--center", type=float | None, default=None, help=f"centre of the one signal, {_UNIT}; on the air if known")
    add("--bandwidth", type=float | None, default=None, help=f"width of the signal's band, {_UNIT}")
    add("--symbol-rate", type=float | None, default=None, help=f"symbols a second, {_UNIT}")
    add("--sample-rate", type=float | None, default=None, help="samples a second; replaces what the file says")


def wanted(arguments: Namespace) -> bool:
    """Return whether the front end is asked for."""
    by_hand = (arguments.center, arguments.bandwidth, arguments.symbol_rate)
    return bool(arguments.detect) or any(value is not None for value in by_hand)


def run_signals(arguments: Namespace, recording: Recording, engine: Engine) -> None:
    """Find the signals, classify them and print."""
    if recording.frame_length is not None:
        raise ConfigError(
            "ready frames hold no capture to look for signals in",
            where=str(recording.path),
            action="leave out --detect, --center, --bandwidth and --symbol-rate",
        )
    check_output(arguments.output, recording)
    # A centre says where the signal is; everything else can be set for signals that are looked for.
    detect = arguments.center is None if arguments.detect is None else arguments.detect
    settings = Frequencies(recording).settings(detect, arguments.center, arguments.bandwidth, arguments.symbol_rate)
    framing = {name: getattr(arguments, name) for name in ("frame_step", "normalization", "scale")}
    if arguments.picture is not None:
        check_picture(Path(arguments.picture), recording)
    with kept_progress(arguments.output or arguments.picture, engine, recording, vars(settings) | framing) as log:
        with progress_line("looking for signals", "samples", len(recording)) as advance:
            signals = found_signals(recording, settings, log, advance)
        work = CaptureClassification(engine, recording, settings, signals=signals, **framing)
        if arguments.json:
            answers = _print_json(work, arguments.output, log)
        else:
            answers = _answers(work, log)
            _write(arguments.output, answers, work)
            _print_table(answers, recording)
        if arguments.picture is not None:
            title = f"{recording.path.name}: {len(answers)} signal{'' if len(answers) == 1 else 's'}"
            write_picture(Path(arguments.picture), recording, signal_boxes(answers, recording), title)


def _answers(
    work: CaptureClassification, log: FrameLog | None, write: Callable[[LabelledFrames, int], None] | None = None
) -> list[SignalAnswer]:
    """Classify all signals with progress on standard error."""
    with progress_line("classifying", "frames", len(work)) as advance:

        def done(number: int, batch: LabelledFrames) -> None:
            if write is not None:
                write(batch, number)
            advance(len(batch.starts))

        return list(work.answers(done, log))


def _print_json(work: CaptureClassification, output: str | None, log: FrameLog | None) -> list[SignalAnswer]:
    # Spooled: a capture that turns out damaged half-way prints no half document.
    with tempfile.SpooledTemporaryFile(16 * 2**20, "w+", encoding="utf-8") as spool:
        document = JsonDocument(spool, work.recording.sample_rate)
        answers = _answers(work, log, document.write)
        objects = [signal_object(one, work.recording) for one in answers]
        summary = capture_summary(answers, work.recording, work.engine.target, work.engine.name)
        document.finish_with(signals=objects, summary=summary)
        _write(output, answers, work)
        spool.seek(0)
        shutil.copyfileobj(spool, sys.stdout)
    return answers


def check_output(output: str | None, recording: Recording) -> None:
    """Say at once if the output cannot be."""
    if output is None:
        return
    path = Path(output)
    if path.suffix == ".sigmf-meta":
        annotated_metadata(recording, [], path)
    elif path.suffix not in (".csv", ".jsonl"):
        raise ConfigError(
            f"labels are not written as {path.suffix or 'a file without an ending'}",
            where=str(path),
            allowed=".csv, .jsonl or .sigmf-meta",
        )


def _write(output: str | None, answers: Sequence[SignalAnswer], work: CaptureClassification) -> None:
    """Write a line or an annotation for each signal."""
    if output is None:
        return
    path, recording = Path(output), work.recording
    if path.suffix == ".sigmf-meta":
        notes = signal_annotations(answers, recording, Path(work.engine.target).name)
        write_text(path, annotated_metadata(recording, notes, path))
        return
    objects = [signal_object(one, recording) for one in answers]
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            _write_csv(file, objects, work.engine.labels)
        else:
            file.writelines(json.dumps(one) + "\n" for one in objects)


def _write_csv(file: IO[str], objects: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    writer = csv.writer(file)
    writer.writerow([*COLUMNS, *names])
    for one in objects:
        writer.writerow([*(one[name] for name in COLUMNS), *(one["probabilities"].get(name, "") for name in names)])


def _group(summary: RecordingSummary) -> str:
    """Return the group, with its probability where the label is in doubt."""
    if summary.group is None or summary.confidence > _SURE:
        return summary.group or ""
    return f"{summary.group} {100 * summary.group_confidence:.0f} %"


def _print_table(answers: Sequence[SignalAnswer], recording: Recording) -> None:
    console, unit = Console(highlight=False), Frequencies(recording)
    if not answers:
        console.print(f"{NO_SIGNAL}: {recording.path} holds noise alone", soft_wrap=True)
        return
    scale, name, rates = (1e-3, "kHz", "kBd") if recording.sample_rate else (1.0, "cycles", "symbols")
    places = [unit.said(answer.signal.center, answer.signal.start) for answer in answers]
    far = recording.sample_rate is not None and max(map(abs, places)) >= 1e7
    place = f"centre {'MHz' if far else name}"
    columns = ("start", place, f"width {name}", rates, "SNR dB", "label", "sure %", "group")
    headers = [Column(name, no_wrap=True) for name in columns]
    table = Table(
        *headers,
        title=f"signals of {recording.path}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for answer, center in zip(answers, places, strict=True):
        signal, summary = answer.signal, answer.summary
        rate = signal.symbol_rate
        table.add_row(
            str(signal.start),
            f"{1e-6 * center:.5f}" if far else f"{scale * center:.4f}",
            f"{scale * unit.width(signal.bandwidth):.4g}",
            "" if rate is None else f"{scale * unit.width(rate):.5g}",
            "" if signal.snr_db is None else f"{signal.snr_db:.0f}",
            shown_label(summary),
            f"{100 * summary.confidence:.1f}",
            _group(summary),
        )
    console.print(table)
