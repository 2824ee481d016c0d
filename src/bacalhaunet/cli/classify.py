"""``bacalhaunet classify``: name the modulation of one signal, or of ready frames."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from bacalhaunet.classify.answers import Frequencies
from bacalhaunet.classify.front_end.band import capture_hint
from bacalhaunet.classify.front_end.signals import FrontEndSettings, Signal, signal_at
from bacalhaunet.classify.label_files import check_outputs
from bacalhaunet.classify.pipeline import Classification, LabelledFrames, RecordingSummary
from bacalhaunet.classify.scanning import check_capture
from bacalhaunet.cli.progress import kept_progress
from bacalhaunet.cli.recordings import UNIT, add_arguments, carry_out, framing, open_input, open_network
from bacalhaunet.cli.scan import print_signals
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.models.resolve import network_title

_SHOWN = 10

_EPILOG = (
    "example: 'bacalhaunet classify signal.sigmf-meta' prints the modulation and its confidence; '-o labels.csv' keeps "
    "the label of every frame; '--json' prints an object with 'frames' and 'summary'. A file without a telling name "
    "needs its type: 'classify capture.bin --type ci16'. Frames in RadioML's scale are used as they are "
    "with '--normalization none'; '--scale 0.015625' multiplies samples by 1/64 and does nothing else to them. The "
    "networks expect a centred signal at about 8 samples a symbol: '--center 433.92e6 --symbol-rate 10e3' brings one "
    "there, and 'bacalhaunet scan capture.sigmf-meta' finds the signals of a capture and does so for each."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("file", type=str, help=".sigmf-meta, .sigmf, .cf32, .cs16, .cu8 and other raw files, .wav (I, Q), .npy")
    add_arguments(parser)
    add("--center", type=float | None, default=None, help=f"centre of the signal, {UNIT}; on the air if known")
    add("--output", "-o", type=Path | None, default=None, help="labels as .csv, .jsonl, or annotations as .sigmf-meta")


def run(arguments: Namespace) -> None:
    """Classify and print."""
    recording = open_input(arguments, arguments.file)
    signals = _by_hand(arguments, recording)
    classifier = open_network(arguments)
    check_outputs(recording, arguments.output, arguments.picture)
    work = Classification(classifier, recording, signals, **framing(arguments), threads=arguments.threads)
    if signals is None and (hint := capture_hint(recording)) is not None:
        print(f"note: {hint}; 'bacalhaunet scan' finds and names its signals", file=sys.stderr, flush=True)
    settings = framing(arguments) | {"signals": None if signals is None else [vars(one) for one in signals]}
    with kept_progress(arguments.output or arguments.picture, classifier.engine, recording, settings) as log:

        def show(first: LabelledFrames | None) -> None:
            if signals is not None:
                print_signals(work.answers(), recording)
            elif first is not None:
                _print(first, work.summary())

        carry_out(work, arguments, log, show)


def _by_hand(arguments: Namespace, recording: Recording) -> list[Signal] | None:
    """Return the one signal that the arguments place in the band; None where the recording is taken as it is.

    Raises:
        ConfigError: If it cannot be there, or the recording holds ready frames.
    """
    unit = Frequencies(recording)
    center = unit.cycles(arguments.center, unit.zero(0))
    settings = FrontEndSettings(unit.cycles(arguments.bandwidth), unit.cycles(arguments.symbol_rate))
    if center is None and settings == FrontEndSettings():
        return None
    check_capture(recording)
    return [signal_at(recording, center or 0.0, settings)]


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
        "left out": "samples between frames and at the end were left out (the hop is longer than a frame)",
    }
    if summary.last_frame in rest:
        yield rest[summary.last_frame]
    if summary.silent_frames:
        yield f"{summary.silent_frames} frames hold zeros only and got no label"
