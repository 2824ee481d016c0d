"""What ``classify`` and ``scan`` share: the arguments, the recording and network they name, and the outputs."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.classify.classifier import Classifier, open_classifier
from bacalhaunet.classify.frame_log import FrameLog
from bacalhaunet.classify.label_files import output_writer
from bacalhaunet.classify.pipeline import Classification, LabelledFrames
from bacalhaunet.classify.scanning import with_sample_rate
from bacalhaunet.cli.progress import progress_line
from bacalhaunet.data.recordings.recording import Recording, open_recording

UNIT = "in Hz (cycles a sample if the sample rate is unknown)"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what says how a recording is read, cut into frames and classified."""
    add = parser.add_argument
    add("--sample-rate", type=float | None, default=None, help="samples a second; replaces what the file says")
    add("--type", type=str | None, default=None, help="sample type, as cf32, ci16_be, cu8; replaces the file's own")
    add("--channel", type=int, default=0, help="channel of a recording with several")
    add_network(parser)
    add("--threads", type=int | None, default=None, help="CPU threads (all cores)")
    add("--bandwidth", type=float | None, default=None, help=f"width of the signal's band, {UNIT}")
    add("--symbol-rate", type=float | None, default=None, help=f"symbols a second, {UNIT}")
    add(
        "--hop-length",
        "--frame-step",
        type=int | None,
        default=None,
        help="samples from frame to frame (the frame length)",
    )
    add(
        "--normalization",
        type=Literal["auto", "block", "frame", "none"],
        default="auto",
        help="scale each frame to unit power over the 2048 samples around it (block), over itself (frame), or not; "
        "auto: block for signals; ready frames are left if their mean power is 0.5 to 8, else frame",
    )
    add("--scale", type=float | None, default=None, help="multiply samples by this; turns 'auto' into 'none'")
    add("--picture", type=Path | None, default=None, help="spectrogram with labelled boxes, as .png, .svg or .pdf")
    add("--json", action="store_true", help="print one JSON document and nothing else")


def add_network(parser: ArgumentParser) -> None:
    """Add what names the network, and what computes it."""
    add = parser.add_argument
    add(
        "--network",
        type=str | None,
        default=None,
        help="an ONNX file, a saved model, or a name (the shipped network for signals on the air)",
    )
    add("--engine", type=str, default="auto", help="what computes the network: auto, native, onnxruntime, torch")


def open_input(arguments: Namespace, file: str) -> Recording:
    """Open a recording as the arguments say."""
    return with_sample_rate(open_recording(file, arguments.type, arguments.channel), arguments.sample_rate)


def open_network(arguments: Namespace) -> Classifier:
    """Open the network that is named, or the shipped one for signals on the air."""
    return open_classifier(arguments.network, arguments.engine, threads=arguments.threads)


def framing(arguments: Namespace) -> dict[str, Any]:
    """Return how frames are cut and scaled, as ``Classification`` takes it."""
    return {name: getattr(arguments, name) for name in ("hop_length", "normalization", "scale")}


def carry_out(
    work: Classification,
    arguments: Namespace,
    log: FrameLog | None,
    show: Callable[[LabelledFrames | None], None],
) -> None:
    """Classify with progress on standard error, write the outputs, and print the document of ``--json`` or the answer.

    Args:
        work: What is to be done.
        arguments: ``output``, ``picture`` and ``json``.
        log: What a stopped run left, and where this one is kept.
        show: Prints the answer; gets the first frames.
    """
    first: LabelledFrames | None = None
    # Spooled: a recording that turns out damaged half-way prints no half document.
    with _spool(arguments.json) as document:
        with (
            output_writer(work, arguments.output, arguments.picture, document) as take,
            progress_line("classifying", "frames", len(work)) as advance,
        ):
            for batch in work.batches(log=log):
                first = first or batch
                take(batch)
                advance(len(batch.starts))
        if document is None:
            show(first)
        else:
            document.seek(0)
            shutil.copyfileobj(document, sys.stdout)


def _spool(as_json: bool) -> Any:
    return tempfile.SpooledTemporaryFile(16 * 2**20, "w+", encoding="utf-8") if as_json else nullcontext()
