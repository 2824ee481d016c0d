"""``bacalhaunet compile``: a network as an integer program, shown or written for a target."""

from __future__ import annotations

import sys

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.errors import ConfigError

_EPILOG = (
    "examples: 'bacalhaunet compile network.onnx --show' prints every layer's accumulator range, requantization and "
    "cost; 'bacalhaunet compile network.onnx -o firmware --name modulation' writes modulation.h and modulation.c for "
    "any C99 compiler, with a self-test and a README of what it needs; --target takes other targets. "
    "Works with QONNX and QCDQ files, saved models "
    "and shipped networks whose layers are all quantized."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    from bacalhaunet.deploy.emitters import targets

    listed = "; ".join(f"{name}, {target.summary}" for name, target in targets().items())
    parser.epilog = _EPILOG
    parser.add_argument("network", type=str, help="an ONNX file, a saved model (.safetensors) or the name of a network")
    parser.add_argument("-o", "--output", type=str | None, default=None, help="the folder to write to")
    parser.add_argument("--target", type=str, default="c", help=f"what to write: {listed}")
    parser.add_argument("--show", action="store_true", help="print the integer program as a table")
    parser.add_argument("--name", type=str, default="classifier", help="what files and functions are called")
    parser.add_argument("--vectors", type=int, default=2, help="frames of the self-test")


def run(arguments: Namespace) -> None:
    """Lower, show and write."""
    from rich.console import Console

    from bacalhaunet.deploy.emitters import emitter_for, write_program
    from bacalhaunet.deploy.integer.show import show
    from bacalhaunet.deploy.networks import integer_program

    if arguments.output is None and not arguments.show:
        raise ConfigError("nothing to do", allowed="--show, -o FOLDER, or both")
    if arguments.output is not None:
        emitter_for(arguments.target)  # an unknown one is said before the network is read
    program = integer_program(arguments.network)
    if arguments.show:
        width = None if sys.stdout.isatty() else 200
        show(program, Console(width=width))
    if arguments.output is not None:
        written = write_program(
            program, arguments.output, arguments.target, name=arguments.name, vectors=arguments.vectors
        )
        print(f"{arguments.output}: {', '.join(written.files)}")
        if written.figures:
            print(", ".join(f"{value:,} {what}" for what, value in written.figures.items()))
