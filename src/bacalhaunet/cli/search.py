"""``bacalhaunet search``: search for networks of high accuracy and low score, show what was found, take the best."""

from __future__ import annotations

from importlib import import_module

from jsonargparse import ArgumentParser, Namespace

_ACTIONS = {
    "run": "run trials of a study, new or joined",
    "show": "draw the front of a study beside the published networks and list it",
    "best": "write a trial's specification and the command that trains it",
}

_EPILOG = """\
examples: 'bacalhaunet search run --trials 100 --output runs/search' tries 100 networks, the catalog's first;
'bacalhaunet search show runs/search' draws the front and lists it;
'bacalhaunet search best runs/search --min-accuracy 0.56 -o cheapest.yaml' writes the cheapest at 56 %.
On many machines, the same command on each: 'bacalhaunet search run --storage postgresql://user@host/db -o search'."""


def build(parser: ArgumentParser) -> None:
    """Add the subcommands."""
    parser.epilog = _EPILOG
    commands = parser.add_subcommands(required=True, dest="action")
    for name, summary in _ACTIONS.items():
        action = ArgumentParser(description=f"{summary[0].upper()}{summary[1:]}.")
        import_module(f"bacalhaunet.cli.search_{name}").build(action)
        commands.add_subcommand(name, action, help=summary)


def run(arguments: Namespace) -> None:
    """Run the chosen subcommand."""
    import_module(f"bacalhaunet.cli.search_{arguments.action}").run(arguments[arguments.action])
