"""``bacalhaunet export``: write a network as QONNX or QCDQ."""

from __future__ import annotations

import sys
from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.classify.calibration import calibration_entry
from bacalhaunet.deploy.export import Export, export
from bacalhaunet.deploy.networks import UNTRAINED_SEED, open_network

_EPILOG = (
    "examples: 'bacalhaunet export bacalhaunet --bits 6 -o b6.onnx' writes the catalog's network at 6 bits as QONNX, "
    "for FINN, hls4ml and the cost metric; "
    "'bacalhaunet export model.safetensors -o m.onnx --format qcdq --dynamic-batch' writes a trained one for "
    "onnxruntime, which computes it as trained with session.disable_quant_qdq=1. The file takes raw frames, holds the "
    "names of the classes, and was compared with torch before it was written."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    parser.add_argument("target", type=str, help="a saved model (.safetensors) or the name of a network")
    parser.add_argument("-o", "--output", type=str, required=True, help="the ONNX file to write")
    parser.add_argument("--format", type=Literal["qonnx", "qcdq"], default="qonnx", help="the kind of quantizer nodes")
    parser.add_argument("--dynamic-batch", action="store_true", help="leave the batch free (otherwise 1)")
    parser.add_argument(
        "--bits",
        type=int | None,
        default=None,
        help="weights, activations and sums of a catalog network; float without",
    )


def run(arguments: Namespace) -> None:
    """Export, verify and say what was done."""
    opened = open_network(arguments.target, bits=arguments.bits, quiet=True)  # a note below says what is untrained
    written = export(
        opened,
        arguments.output,
        arguments.format,
        dynamic_batch=arguments.dynamic_batch,
        metadata=calibration_entry(arguments.target) if opened.trained else None,
    )
    if not opened.trained:
        print(
            f"note: {arguments.target} has no trained weights; the file holds random ones (seed {UNTRAINED_SEED})",
            file=sys.stderr,
        )
    print(_summary(written))


def _summary(written: Export) -> str:
    parity = written.parity
    text = f"{written.path}: {written.format}, same class as torch on {parity.same_class} of {parity.frames} frames"
    if parity.ties:
        return f"{text}, {len(parity.ties)} differ by a tie in rounding: {'; '.join(parity.ties)}"
    return f"{text}, largest difference of a logit {parity.max_difference:.2g}"
