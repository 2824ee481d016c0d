"""``bacalhaunet search``: search for networks of high accuracy and low score, show what was found, take the best."""

from __future__ import annotations

from importlib import import_module

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.parser import CommandParser

_ACTIONS = {
    "run": "run trials of a study, new or joined",
    "show": "draw the front of a study beside the published networks and list it",
    "best": "write a trial's specification and the command that trains it",
}

_EPILOG = """\
examples: try 100 networks, those of the catalog first
  bacalhaunet search run --trials 100 --output runs/search
draw the front beside the published networks, and list it
  bacalhaunet search show runs/search
write the cheapest network at 56 % and print the command that trains it
  bacalhaunet search best runs/search --min-accuracy 0.56 -o cheapest.yaml
search on many machines, with the same command on each
  bacalhaunet search run --storage postgresql://user@host/db --output runs/search"""


def build(parser: ArgumentParser) -> None:
    """Add the subcommands."""
    parser.epilog = _EPILOG
    commands = parser.add_subcommands(required=True, dest="action")
    for name, summary in _ACTIONS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        action = CommandParser(description=description, formatter_class=parser.formatter_class)
        import_module(f"bacalhaunet.cli.search_{name}").build(action)
        commands.add_subcommand(name, action, help=summary)


def run(arguments: Namespace) -> None:
    """Run the chosen subcommand."""
    import_module(f"bacalhaunet.cli.search_{arguments.action}").run(arguments[arguments.action])
