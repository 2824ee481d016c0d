"""``bacalhaunet compile``: a network as an integer program, shown or written for a target."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from bacalhaunet.deploy.integer.program import LayerSummary, Program

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


_COLUMNS = (
    ("layer", "left"),
    ("kind", "left"),
    ("output", "right"),
    ("taps", "right"),
    ("MACs", "right"),
    ("share", "right"),
    ("rounded", "right"),
    ("computed", "right"),
    ("const", "right"),
    ("unread", "right"),
    ("accumulator", "right"),
    ("bits", "right"),
    ("requantization", "left"),
    ("levels", "right"),
)


def _row(cost: LayerSummary, total: int) -> list[str]:
    low, high = cost.accumulator
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    return [
        cost.name,
        cost.kind,
        f"{cost.shape[0]} x {cost.shape[1]}",
        f"{cost.taps:,}",
        f"{cost.macs:,}",
        f"{100 * cost.macs / max(total, 1):.1f} %",
        f"{cost.requantized:,}",
        str(cost.computed),
        str(cost.constant),
        str(cost.unread),
        f"{low:,} .. {high:,}" if cost.macs else "-",
        str(bits) if cost.macs else "-",
        cost.form,
        f"{cost.levels[0]} .. {cost.levels[1]}",
    ]


def show(program: Program, console: Console) -> None:
    """Print every layer's range, form and cost, and the totals."""
    costs = [layer.summary(program.tensors) for layer in program.layers]
    total = sum(cost.macs for cost in costs)
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    for name, justify in _COLUMNS:
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for cost in costs:
        table.add_row(*_row(cost, total))
    quantizer = program.quantizer
    clip = f", clipped to {quantizer.clip_low:g} .. {quantizer.clip_high:g}" if quantizer.clip_high < 1e30 else ""
    console.print(
        f"{program.source}: 2 x {program.frame_length} samples to {program.classes} logits; "
        f"samples are integers {quantizer.low} .. {quantizer.high} of {quantizer.scale:.6g}{clip}",
        highlight=False,
    )
    console.print(table, highlight=False)
    taps, rounded = sum(cost.taps for cost in costs), sum(cost.requantized for cost in costs)
    console.print(
        f"{taps:,} taps, {total:,} multiply-accumulates and {rounded:,} requantizations a frame; "
        f"an integer logit of 1 is {program.logit_scale:.6g}",
        highlight=False,
    )
