"""The table of commands. Adding a command is adding a row here and a module beside this one.

Another package adds commands without a change here: an entry point of the group ``bacalhaunet.commands`` whose name is
the command's and which loads a ``Command``.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import NamedTuple

from bacalhaunet.errors import ConfigError

ENTRY_POINTS = "bacalhaunet.commands"
"""The entry point group of commands of other packages."""


class Command(NamedTuple):
    """One command.

    Attributes:
        module: Where it lives: ``build(parser)`` adds its arguments to a jsonargparse parser, ``run(arguments)`` does
            the work. ``build`` runs for ``--help`` too, so what takes long to import is imported in ``run``.
        summary: One line on what it does.
        extra: The extra it needs; None for the core.
    """

    module: str
    summary: str
    extra: str | None = None


COMMANDS: dict[str, Command] = {
    "scan": Command("bacalhaunet.cli.scan", "find and name the signals of recordings"),
    "classify": Command("bacalhaunet.cli.classify", "name the modulation of one signal"),
    "listen": Command("bacalhaunet.cli.listen", "name the modulations of a live stream", "live"),
    "models": Command("bacalhaunet.cli.models", "list the networks by name, or show the card of one"),
    "train": Command("bacalhaunet.cli.train", "train a network", "train"),
    "evaluate": Command("bacalhaunet.cli.evaluate", "accuracy of a network on a data set", "train"),
    "calibrate": Command("bacalhaunet.cli.calibrate", "make a network's probabilities honest", "train"),
    "prune": Command("bacalhaunet.cli.prune", "prune a trained network step by step", "train"),
    "compress": Command("bacalhaunet.cli.compress", "take a network to a target score or a least accuracy", "train"),
    "search": Command("bacalhaunet.cli.search", "search for networks of high accuracy and low score", "train"),
    "cost": Command("bacalhaunet.cli.cost", "the challenge's inference cost score, layer by layer", "train"),
    "export": Command("bacalhaunet.cli.export", "write a network as QONNX or QCDQ", "train"),
    "compile": Command("bacalhaunet.cli.compile", "a network as integers: shown, or written as portable C", "train"),
    "bench": Command("bacalhaunet.cli.bench", "the speed of every engine on this machine"),
    "data": Command("bacalhaunet.cli.data", "check a RadioML 2018.01A file, or show any data set", "train"),
    "twin": Command("bacalhaunet.cli.twin", "make and show the twin of RadioML 2018.01A", "train"),
    "report": Command("bacalhaunet.cli.report", "a web page about a run", "train"),
    "completion": Command("bacalhaunet.cli.completion", "a script that completes this command line in a shell"),
}
"""The commands of this package, in the order in which the overview lists them."""


def all_commands() -> dict[str, Command]:
    """Return the commands of this package, then those of others by name.

    A name of this package stays this package's. A command that cannot be loaded, as of a package that is half
    installed, is left out: it does not keep the others from working.
    """
    found = dict(COMMANDS)
    for name, entry in sorted(_entries().items()):
        try:
            found.setdefault(name, entry.load())
        except (ImportError, AttributeError):
            continue
    return found


def find_command(name: str) -> Command | None:
    """Return a command by its name, or None where no package has one of this name.

    Raises:
        ConfigError: The package that has it cannot be loaded.
    """
    if name in COMMANDS:
        return COMMANDS[name]
    entry = _entries().get(name)
    if entry is None:
        return None
    try:
        command: Command = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the command {name!r} cannot be loaded: {error}",
            where=f"entry point {entry.value}",
            action="install its package again",
        ) from error
    return command


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
