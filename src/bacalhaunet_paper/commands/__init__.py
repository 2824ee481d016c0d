"""The commands of the reproduction, which the entry points of the package bring to ``bacalhaunet``."""

from __future__ import annotations

from bacalhaunet.cli.commands import Command

REPRODUCE = Command(
    "bacalhaunet_paper.commands.reproduce", "the BacalhauNet report again, or one table or figure of it", "train"
)
SHIP = Command("bacalhaunet_paper.commands.ship", "measure a trained network and put it into the package", "train")
FIDELITY = Command(
    "bacalhaunet_paper.commands.fidelity", "judge the twin by networks that were trained on the real data", "train"
)
ABLATION = Command("bacalhaunet_paper.commands.ablation", "what each ingredient of a compression is worth", "train")
