"""``bacalhaunet scan``: find the signals of a recording, or of all recordings of a folder, and name each."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from bacalhaunet.classify.answers import NO_SIGNAL, Frequencies, NamedSignal
from bacalhaunet.classify.classifier import Classifier
from bacalhaunet.classify.frame_log import FrameLog
from bacalhaunet.classify.front_end.signals import FrontEndSettings, Signal, find_signals
from bacalhaunet.classify.label_files import check_outputs, write_signals
from bacalhaunet.classify.pipeline import Classification
from bacalhaunet.classify.scanning import check_capture
from bacalhaunet.cli.progress import kept_progress, progress_line
from bacalhaunet.cli.recordings import add_arguments, carry_out, framing, open_input, open_network
from bacalhaunet.data.recordings.recording import Recording, recordings_in
from bacalhaunet.errors import BacalhauNetError, ConfigError, RecordingError

_SURE = 0.95

_EPILOG = (
    "example: 'bacalhaunet scan capture.sigmf-meta' prints the signals of a recording with what they are; "
    "'-o labelled.sigmf-meta' writes them as annotations, '--picture capture.png' draws them, '--json' prints an "
    "object with 'frames', 'signals' and 'summary'. A file that does not say its type or rate is told them: 'scan "
    "capture.bin --type cu8 --sample-rate 2.4e6'. 'scan FOLDER -o signals.csv' goes through the recordings of a folder."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("file", type=Path, help="a recording (SigMF, raw samples, WAV, .npy), or a folder of recordings")
    add_arguments(parser)
    add("--output", "-o", type=Path | None, default=None, help="signals as .csv, .jsonl or annotations (.sigmf-meta)")


def run(arguments: Namespace) -> None:
    """Find the signals, classify them and print."""
    if arguments.file.is_dir():
        _scan_folder(arguments, open_network(arguments))
        return
    recording = open_input(arguments, str(arguments.file))
    classifier = open_network(arguments)
    settings = _settings(arguments, recording)
    check_outputs(recording, arguments.output, arguments.picture)
    fingerprint = vars(settings) | framing(arguments)
    with kept_progress(arguments.output or arguments.picture, classifier.engine, recording, fingerprint) as log:
        work = _work(arguments, recording, classifier, log)
        carry_out(work, arguments, log, lambda first: print_signals(work.answers(), recording))


def _settings(arguments: Namespace, recording: Recording) -> FrontEndSettings:
    """Return what is set by hand for the signals of a capture.

    Raises:
        ConfigError: If a value is out of range, or the recording holds ready frames.
    """
    check_capture(recording)
    unit = Frequencies(recording)
    return FrontEndSettings(bandwidth=unit.cycles(arguments.bandwidth), symbol_rate=unit.cycles(arguments.symbol_rate))


def _work(
    arguments: Namespace, recording: Recording, classifier: Classifier, log: FrameLog | None = None
) -> Classification:
    """Return the work on the signals of a recording: those that the log holds, else those that are there."""
    signals = None if log is None else log.note()
    if signals is None:
        with progress_line("looking for signals", "samples", len(recording)) as advance:
            signals = find_signals(recording, _settings(arguments, recording), advance)
        if log is not None:
            log.keep_note([vars(signal) for signal in signals])
    else:
        signals = [Signal(**values) for values in signals]
    return Classification(classifier, recording, signals, **framing(arguments), threads=arguments.threads)


def _scan_folder(arguments: Namespace, classifier: Classifier) -> None:
    """Scan recording after recording; one that cannot be read is said and counted, and the others go on.

    Raises:
        ConfigError: If an output is of a kind that only one recording has.
        RecordingError: If the folder holds no recordings.
        SystemExit: With 1, at the end, if some could not be read.
    """
    output: Path | None = arguments.output
    if arguments.picture is not None or (output is not None and output.suffix not in (".csv", ".jsonl")):
        raise ConfigError(
            "the recordings of a folder have no picture or annotations in common",
            where=str(arguments.picture or output),
            allowed="-o NAME.csv or -o NAME.jsonl",
            action="scan the recordings one by one",
        )
    files = recordings_in(arguments.file)
    if not files:
        raise RecordingError(
            "the folder holds no recordings", where=str(arguments.file), allowed="SigMF, WAV, .npy, raw"
        )
    documents = [_scan_one(arguments, file, classifier) for file in files]
    signals = [one for document in documents for one in document.get("signals", [])]
    failed = sum("error" in document for document in documents)
    if output is not None:
        write_signals(output, signals, classifier.engine.labels)
    if arguments.json:
        counts = {"recordings": len(files), "failed": failed, "signals": len(signals)}
        recordings = [{key: value for key, value in one.items() if key != "signals"} for one in documents]
        print(
            json.dumps(
                {
                    "recordings": recordings,
                    "signals": signals,
                    "summary": counts | {"network": classifier.engine.target},
                }
            )
        )
    if failed:
        print(f"{failed} of {len(files)} recordings could not be read", file=sys.stderr)
        sys.exit(1)


def _scan_one(arguments: Namespace, file: Path, classifier: Classifier) -> dict[str, Any]:
    """Return what a recording holds, or the error that it causes, which is also said."""
    try:
        recording = open_input(arguments, str(file))
        work = _work(arguments, recording, classifier)
        answers = work.answers()
    except BacalhauNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return {"file": str(file), "error": error.problem}
    if not arguments.json:
        print_signals(answers, recording)
    signals = [{"file": str(file)} | one.to_dict() for one in answers]
    return {"file": str(file), "signals": signals, "summary": work.capture_summary()}


def _group(signal: NamedSignal) -> str:
    """Return the group, with its probability where the label is in doubt."""
    if signal.group is None or signal.confidence > _SURE:
        return signal.group or ""
    return f"{signal.group} {100 * signal.group_confidence:.0f} %"


def print_signals(signals: Sequence[NamedSignal], recording: Recording) -> None:
    """Print a line for each signal of a recording."""
    console = Console(highlight=False)
    if not signals:
        console.print(f"{NO_SIGNAL}: {recording.path} holds noise alone", soft_wrap=True)
        return
    scale, name, rates = (1e-3, "kHz", "kBd") if recording.sample_rate else (1.0, "cycles", "symbols")
    far = recording.sample_rate is not None and max(abs(one.center) for one in signals) >= 1e7
    place = f"centre {'MHz' if far else name}"
    columns = ("start", place, f"width {name}", rates, "SNR dB", "label", "sure %", "group")
    headers = [Column(column, no_wrap=True) for column in columns]
    table = Table(
        *headers,
        title=f"signals of {recording.path}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for one in signals:
        table.add_row(
            str(one.start),
            f"{1e-6 * one.center:.5f}" if far else f"{scale * one.center:.4f}",
            f"{scale * one.bandwidth:.4g}",
            "" if one.symbol_rate is None else f"{scale * one.symbol_rate:.5g}",
            "" if one.snr_db is None else f"{one.snr_db:.0f}",
            one.shown,
            f"{100 * one.confidence:.1f}",
            _group(one),
        )
    console.print(table)
