"""``bacalhaunet compile``: a network as an integer program and as portable C."""

from __future__ import annotations

import sys

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.errors import ConfigError

_EPILOG = (
    "examples: 'bacalhaunet compile network.onnx --show' prints every layer's accumulator range, requantization and "
    "cost; 'bacalhaunet compile network.onnx -o firmware --name modulation' writes modulation.h and modulation.c for "
    "any C99 compiler, with a self-test and a README of what it needs. Works with QONNX and QCDQ files, saved models "
    "and shipped networks whose layers are all quantized."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    parser.add_argument("network", type=str, help="an ONNX file, a saved model (.safetensors) or the name of a network")
    parser.add_argument("-o", "--output", type=str | None, default=None, help="the folder to write C sources to")
    parser.add_argument("--show", action="store_true", help="print the integer program as a table")
    parser.add_argument("--name", type=str, default="classifier", help="prefix of C files, functions and macros")
    parser.add_argument("--vectors", type=int, default=2, help="frames of the self-test")


def run(arguments: Namespace) -> None:
    """Lower, show and write."""
    from rich.console import Console

    from bacalhaunet.deploy.integer.show import show
    from bacalhaunet.deploy.networks import integer_program

    if arguments.output is None and not arguments.show:
        raise ConfigError("nothing to do", allowed="--show, -o FOLDER, or both")
    if arguments.vectors < 1:
        raise ConfigError(f"{arguments.vectors} frames for the self-test", allowed="1 or more")
    program = integer_program(arguments.network)
    if arguments.show:
        width = None if sys.stdout.isatty() else 200
        show(program, Console(width=width))
    if arguments.output is not None:
        from bacalhaunet.deploy.c.emitter import emit_c

        written = emit_c(program, arguments.output, name=arguments.name, vectors=arguments.vectors)
        names = ", ".join(path.name for path in written.files)
        print(f"{arguments.output}: {names}")
        print(f"{written.state_bytes:,} bytes of RAM, {written.table_bytes:,} bytes of tables")
