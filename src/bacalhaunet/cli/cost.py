"""``bacalhaunet cost``: the 2021 ITU challenge's inference cost score, layer by layer."""

from __future__ import annotations

import json

from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bacalhaunet.cost.of import cost_of
from bacalhaunet.cost.report import CostReport

_EPILOG = (
    "examples: 'bacalhaunet cost bacalhaunet' scores the float network of the catalog (1.4155); "
    "'bacalhaunet cost bacalhaunet --bits 6' the same at 6 bits, sums quantized; "
    "'bacalhaunet cost network.onnx' any ONNX file with Quant nodes, and says where it wastes bits. "
    "A score of 1 is the challenge's 8-bit VGG10 baseline; lower is better."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "target", type=str, help="an ONNX file, a saved model, a spec (.yaml, .json) or a network's name"
    )
    parser.add_argument(
        "--bits", type=int | None, default=None, help="weights, activations and sums of a catalog network or spec"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def run(arguments: Namespace) -> None:
    """Score and print."""
    report = cost_of(arguments.target, bits=arguments.bits)
    if arguments.json:
        print(json.dumps(report.to_dict()))
    else:
        _print(report, arguments.target)


def _print(report: CostReport, target: str) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width to keep to
        console.width = 120
    table = Table(title=target, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold")
    table.add_column("kind", no_wrap=True)
    for heading in ("MACs", "density", "input\nbits", "weight\nbits", "bit_ops", "bit_mem", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in report.layers:
        table.add_row(
            layer.name,
            layer.kind,
            f"{layer.macs}",
            f"{100 * layer.density:.1f} %",
            str(layer.input_bits),
            str(layer.weight_bits),
            f"{layer.bit_ops}",
            f"{layer.bit_mem}",
            f"{100 * report.share(layer):.1f} %",
        )
    table.add_section()
    macs = sum(layer.macs for layer in report.layers)
    table.add_row("all", "", f"{macs}", "", "", "", f"{report.bit_ops}", f"{report.bit_mem}", "100.0 %")
    console.print(table)
    console.print(f"bit_ops {report.bit_ops}  bit_mem {report.bit_mem}  score {report.score:.6f}")
    if report.unsupported:
        console.print(f"unknown to the metric: {', '.join(report.unsupported)}")
    for finding in report.findings:
        console.print(f"- {finding.text}")
