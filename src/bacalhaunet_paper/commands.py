"""The commands of the reproduction, which the entry points of the package bring to ``bacalhaunet``."""

from __future__ import annotations

from bacalhaunet.cli.commands import Command

REPRODUCE = Command("bacalhaunet.cli.reproduce", "the BacalhauNet report again, or one table or figure of it", "train")
SHIP = Command("bacalhaunet.cli.ship", "measure a trained network and put it into the package", "train")
