"""The table of commands. Adding a command is adding a row here and a module beside this one."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One command: the module that runs it, one line on what it does, and the extra it needs (None: the core)."""

    module: str
    summary: str
    extra: str | None = None


# Each module has ``build(parser)``, which adds its arguments to a jsonargparse parser, and ``run(arguments)``.
COMMANDS: dict[str, Command] = {
    "models": Command("bacalhaunet.cli.models", "list the networks by name, or show the card of one"),
    "cost": Command("bacalhaunet.cli.cost", "the challenge's inference cost score, layer by layer", "train"),
    "twin": Command("bacalhaunet.cli.twin", "make, show and judge the twin of RadioML 2018.01A", "train"),
    "data": Command("bacalhaunet.cli.data", "check a RadioML 2018.01A file", "train"),
    "train": Command("bacalhaunet.cli.train", "train a network", "train"),
    "prune": Command("bacalhaunet.cli.prune", "prune a trained network step by step", "train"),
    "compress": Command("bacalhaunet.cli.compress", "take a network to a target score or a least accuracy", "train"),
    "search": Command("bacalhaunet.cli.search", "search for networks of high accuracy and low score", "train"),
    "evaluate": Command("bacalhaunet.cli.evaluate", "accuracy of a network on a RadioML file", "train"),
    "calibrate": Command("bacalhaunet.cli.calibrate", "make a network's probabilities honest", "train"),
    "export": Command("bacalhaunet.cli.export", "write a network as QONNX or QCDQ", "train"),
    "compile": Command("bacalhaunet.cli.compile", "a network as integers: shown, or written as portable C", "train"),
    "bench": Command("bacalhaunet.cli.bench", "the speed of every engine on this machine"),
    "scan": Command("bacalhaunet.cli.scan", "find and name the signals of recordings"),
    "classify": Command("bacalhaunet.cli.classify", "name the modulation of one signal"),
    "listen": Command("bacalhaunet.cli.listen", "name the modulations of a live stream", "live"),
    "ship": Command("bacalhaunet.cli.ship", "measure a trained network and put it into the package", "train"),
    "report": Command("bacalhaunet.cli.report", "a web page about a run", "train"),
    "reproduce": Command(
        "bacalhaunet.cli.reproduce", "the BacalhauNet report again, or one table or figure of it", "train"
    ),
}
