"""``bacalhaunet ablation``: a compression again without one ingredient at a time, from the same start."""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

EXAMPLE = """\
example: what each ingredient is worth, at one score
  bacalhaunet ablation runs/six-bits/model.safetensors --target-score 0.01 -o runs/ablation
The folder gets ablation.md, ablation.json, ablation.svg, and a folder for each compression.
Killed or interrupted, the same command goes on where it stopped."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments, those of ``compress``."""
    from bacalhaunet.cli import compress

    compress.build(parser)
    parser.epilog = EXAMPLE


def run(arguments: Namespace) -> None:
    """Compress, with everything and without each ingredient, and print the table."""
    from bacalhaunet.cli.parser import instantiate
    from bacalhaunet.compression.config import CompressConfig
    from bacalhaunet_paper.ablation import ablate, draw_ablation

    values = arguments.clone()
    output = Path(values.pop("output"))
    values.pop("config", None)
    values["network"] = values.pop("start") or values["network"]
    picture = draw_ablation(ablate(instantiate(CompressConfig, values), output), output)
    print((output / "ablation.md").read_text(encoding="utf-8"))
    print(f"picture: {picture}", file=sys.stderr)
