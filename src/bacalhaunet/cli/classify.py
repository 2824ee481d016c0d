"""``bacalhaunet classify``: name the modulation of a recording."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.frame_log import FrameLog
from bacalhaunet.classify.picture import check_picture, write_picture
from bacalhaunet.classify.recording import Classification, LabelledFrames, RecordingSummary
from bacalhaunet.classify.recording_output import JsonDocument, Stretches, WriteBatch, annotated_metadata, label_writer
from bacalhaunet.cli.classify_progress import kept_progress, progress_line
from bacalhaunet.cli.classify_signals import add_arguments, check_output, run_signals, wanted
from bacalhaunet.data.recordings.recording import Recording, open_recording
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.resolve import network_title, require_trained
from bacalhaunet.models.shipped_networks import default_network, shipped_networks
from bacalhaunet.outputs import whole_file, write_text

_SHOWN = 10

_EPILOG = (
    "example: 'bacalhaunet classify signal.sigmf-meta --network network.onnx' prints the modulation with its "
    "confidence; '-o labels.csv' keeps the label of every frame of 1024 samples; '--json' prints an object with "
    "'frames' and 'summary'. A file without a telling name needs its type: 'classify capture.bin --type ci16'. "
    "Frames that are in RadioML's scale already are used as they are with '--normalization none'; "
    "'--scale 0.015625' multiplies samples by 1/64 and does nothing else to them. The networks expect a centred "
    "signal at about 8 samples a symbol: 'classify capture.sigmf-meta --detect' finds the signals of a capture and "
    "brings each to that, '--center 433.92e6 --symbol-rate 10e3' does so for one signal."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("file", type=str, help=".sigmf-meta, .sigmf, .cf32, .cs16, .cu8 and other raw files, .wav (I, Q), .npy")
    add(
        "--network",
        type=str | None,
        default=None,
        help="an ONNX file, a saved model, or a name (the shipped network for signals on the air)",
    )
    add("--engine", type=str, default="auto", help="what computes the network: auto, native, onnxruntime, torch")
    add("--threads", type=int | None, default=None, help="CPU threads (all cores)")
    add("--type", type=str | None, default=None, help="sample type, as cf32, ci16_be, cu8; replaces the file's own")
    add("--channel", type=int, default=0, help="channel of a recording with several")
    add("--frame-step", type=int | None, default=None, help="samples from frame to frame (the frame length)")
    add(
        "--normalization",
        type=Literal["auto", "block", "frame", "none"],
        default="auto",
        help="scale each frame to unit power over the 2048 samples around it (block), over itself (frame), or not; "
        "auto: block for signals; ready frames (n, 2, 1024) are left if their mean power is 0.5 to 8, else frame",
    )
    add("--scale", type=float | None, default=None, help="multiply samples by this; turns 'auto' into 'none'")
    add_arguments(parser)
    add("--output", "-o", type=str | None, default=None, help="labels as .csv, .jsonl, or annotations as .sigmf-meta")
    add("--picture", type=str | None, default=None, help="spectrogram with labelled boxes, as .png, .svg or .pdf")
    add("--json", action="store_true", help="print one JSON document and nothing else")


def run(arguments: Namespace) -> None:
    """Classify and print."""
    recording = open_recording(arguments.file, arguments.type, arguments.channel)
    if arguments.sample_rate is not None:
        if not 0 < arguments.sample_rate < 1e15:
            raise ConfigError(f"the sample rate is {arguments.sample_rate}", allowed="a number above 0")
        recording = replace(recording, sample_rate=arguments.sample_rate)
    network = arguments.network or default_network(shipped_networks())
    require_trained(network)
    engine = open_engine(network, arguments.engine, threads=arguments.threads)
    if wanted(arguments):
        run_signals(arguments, recording, engine)
        return
    work = Classification(
        engine,
        recording,
        frame_step=arguments.frame_step,
        normalization=arguments.normalization,
        scale=arguments.scale,
        threads=arguments.threads,
    )
    check_output(arguments.output, recording)
    with ExitStack() as outputs:
        kept = arguments.output or arguments.picture
        log = outputs.enter_context(kept_progress(kept, engine, recording, vars(work.cutter.framing)))
        writers = [outputs.enter_context(_labels(arguments.output, work))] if arguments.output else []
        if arguments.picture is not None:
            writers.append(outputs.enter_context(_picture(Path(arguments.picture), work)))
        if arguments.json:
            _run_json(work, writers, log)
        else:
            _run_table(work, writers, log)
    if recording.frame_length is None and not arguments.json:
        print(
            "note: taken as one signal, centred, at 8 samples a symbol; '--detect' finds the signals of a capture",
            file=sys.stderr,
        )


def _classified(work: Classification, writers: list[WriteBatch], log: FrameLog | None) -> Iterator[LabelledFrames]:
    """Yield the labelled frames once every writer has them, with progress on standard error."""
    with progress_line("classifying", "frames", len(work)) as advance:
        for batch in work.batches(log=log):
            for write in writers:
                write(batch)
            yield batch
            advance(len(batch.starts))


def _run_json(work: Classification, writers: list[WriteBatch], log: FrameLog | None) -> None:
    # Spooled: a recording that turns out damaged half-way prints no half document.
    with tempfile.SpooledTemporaryFile(16 * 2**20, "w+", encoding="utf-8") as spool:
        document = JsonDocument(spool, work.recording.sample_rate)
        for _ in _classified(work, [document.write, *writers], log):
            pass
        document.finish(work.summary())
        spool.seek(0)
        shutil.copyfileobj(spool, sys.stdout)


def _run_table(work: Classification, writers: list[WriteBatch], log: FrameLog | None) -> None:
    first: LabelledFrames | None = None
    for batch in _classified(work, writers, log):
        first = first or batch
    assert first is not None  # a recording has one frame or more
    _print(first, work.summary())


@contextmanager
def _labels(output: str, work: Classification) -> Iterator[WriteBatch]:
    """Give what keeps labelled frames in ``output``, which appears whole when all are there."""
    path, recording = Path(output), work.recording
    if path.suffix == ".sigmf-meta":
        with _annotations(path, recording, work) as write:
            yield write
        return
    names = tuple(work.engine.labels)
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield label_writer(path, file, names, recording.sample_rate)


@contextmanager
def _annotations(path: Path, recording: Recording, work: Classification) -> Iterator[WriteBatch]:
    stretches = Stretches(work.engine.frame_length, len(recording))
    yield stretches.add
    write_text(path, annotated_metadata(recording, stretches.annotations(Path(work.engine.target).name), path))


@contextmanager
def _picture(path: Path, work: Classification) -> Iterator[WriteBatch]:
    """Give what collects stretches of equal labels, which are drawn when all are there."""
    recording = work.recording
    check_picture(path, recording)
    stretches = Stretches(work.engine.frame_length, len(recording))
    yield stretches.add
    write_picture(path, recording, stretches.boxes(), f"{recording.path.name}: {work.summary().label or 'silence'}")


def _print(first: LabelledFrames, summary: RecordingSummary) -> None:
    console = Console(highlight=False)
    table = Table("first sample", "label", "probability", title="frames", title_justify="left")
    for start, label, row in list(zip(first.starts, first.labels, first.probabilities, strict=True))[:_SHOWN]:
        table.add_row(str(start), label or "(silent)", f"{100 * row.max():.1f} %" if label else "")
    console.print(table)
    if summary.frames > _SHOWN:
        console.print(f"and {summary.frames - _SHOWN} frames more; '-o labels.csv' writes all of them")
    for line in _notes(summary):
        console.print(line, soft_wrap=True)
    if summary.label is None:
        console.print("no answer: the recording holds zeros only")
        return
    others = [f"{name} {100 * value:.1f} %" for name, value in list(summary.probabilities.items())[1:4]]
    console.print(
        f"[bold]{summary.label}[/bold], confidence {100 * summary.confidence:.1f} %, "
        f"group {summary.group} {100 * summary.group_confidence:.1f} %, "
        f"{100 * summary.agreement:.0f} % of {summary.frames - summary.silent_frames} frames agree; "
        f"next: {', '.join(others)}",
        soft_wrap=True,
    )


def _notes(summary: RecordingSummary) -> Iterator[str]:
    rate = f" at {summary.sample_rate:g} samples/s" if summary.sample_rate else ""
    yield f"{summary.file}: {summary.samples} samples{rate}, {network_title(summary.network)} ({summary.engine})"
    scaled = {
        "block": f"each frame scaled to unit power over the {2 * summary.frame_length} samples around it",
        "frame": "each frame scaled to unit power",
        "none": "samples not scaled" if summary.scale is None else f"samples multiplied by {summary.scale:g}",
    }
    yield scaled[summary.normalization]
    rest = {
        "overlaps": "the last frame overlaps the one before it, so that no sample is left out",
        "repeated": "the recording is shorter than a frame and was repeated to fill it: the answer is uncertain",
        "left out": "samples between frames and at the end were left out (the frame step is longer than a frame)",
    }
    if summary.last_frame in rest:
        yield rest[summary.last_frame]
    if summary.silent_frames:
        yield f"{summary.silent_frames} frames hold zeros only and got no label"
