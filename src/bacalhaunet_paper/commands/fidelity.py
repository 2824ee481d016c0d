"""``bacalhaunet fidelity``: how close the twin is to the real data."""

from __future__ import annotations

import json

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bacalhaunet.radio.twin_config import TwinConfig

_EPILOG = (
    "example: 'bacalhaunet fidelity --networks networks/ -o fidelity/' runs every ONNX file of the folder over 24 "
    "x 26 x 200 frames, prints the tables and writes them with pictures to fidelity/. Files named like vgg10, "
    "aaronnet32 and bacalhaunet_w6a6 are compared with the figures published for these networks; others are just run."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--networks", type=str, required=True, help="a folder of networks trained on the real data")
    parser.add_argument("--frames-per-cell", type=int, default=200, help="frames of each modulation at each SNR")
    parser.add_argument("--seed", type=int, default=0, help="names the frames")
    parser.add_argument(
        "--real-frames", type=str | None, default=None, help="a folder with real BPSK and QPSK frames, *bpsk_qpsk*.npy"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("-o", "--output", type=str | None, default=None, help="a folder for tables and pictures")
    parser.add_class_arguments(TwinConfig, "twin")


def run(arguments: Namespace) -> None:
    """Measure, print, write."""
    from bacalhaunet.cli.twin import changed_settings
    from bacalhaunet.radio.profiles import make_source
    from bacalhaunet_paper.fidelity import measure_fidelity, network_files
    from bacalhaunet_paper.fidelity_pages import markdown, summary, write_folder

    source = make_source("twin", **changed_settings(arguments.twin, TwinConfig()))
    networks = network_files(arguments.networks)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("frames", total=24 * 26 * arguments.frames_per_cell)
        found = measure_fidelity(
            source,
            networks,
            frames_per_cell=arguments.frames_per_cell,
            seed=arguments.seed,
            real_frames=arguments.real_frames,
            progress=lambda frames: bar.advance(task, frames),
        )
    if arguments.output is not None:
        write_folder(arguments.output, found, source)
    if arguments.json:
        print(json.dumps(found.to_dict()))
    else:
        print(markdown(found))
        print(summary(found))
