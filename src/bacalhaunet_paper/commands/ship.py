"""``bacalhaunet ship``: measure a trained network in full and put it into the package, with its card."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.models.shipped_networks import FOLDER

EXAMPLE = """\
example: for maintainers; run in a source tree, it makes the network of a run one of the package's own
  bacalhaunet ship runs/paper/step-3 --name paper
It exports the network, compares the export with torch, measures it on all 255,840 frames of the test split, and
writes paper.safetensors, paper.onnx and the card paper.json. Interrupted, the same command goes on; run again, it
does not read the test split again. 'bacalhaunet models paper' shows the card.
trained on the field profile, so measured on it
  bacalhaunet ship runs/field --name field --data-profile field
a shipped network measured and exported again, as the package does it today
  bacalhaunet ship lite --name lite"""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="the folder of a run, a saved model (.safetensors), or the name of a shipped network",
    )
    parser.add_argument("--name", type=str, required=True, help="the name commands will take")
    parser.add_argument("--summary", type=str | None, default=None, help="what it is, in a few words (composed)")
    parser.add_argument(
        "--data-profile",
        type=Literal["twin", "field"] | None,
        default=None,
        help="what makes the test frames (as in training)",
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files go (the package)")


def run(arguments: Namespace) -> None:
    """Ship and say where the card is."""
    from bacalhaunet_paper.shipping import ship

    words = ["ship", str(arguments.run), "--name", arguments.name]
    if arguments.data_profile is not None:
        words += ["--data-profile", arguments.data_profile]
    card = ship(
        arguments.run,
        arguments.name,
        folder=arguments.folder,
        summary=arguments.summary,
        profile=arguments.data_profile,
        words=words,
    )
    print(card)
    print(f"next: bacalhaunet models {arguments.name}", file=sys.stderr)
