"""``bacalhaunet twin``: make a file of generated frames, show what they look like."""

from __future__ import annotations

from importlib import import_module

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.parser import CommandParser

_ACTIONS = {
    "make": "write a file in RadioML 2018.01A's layout",
    "show": "draw every class: constellation, spectrum and waveform in one picture",
}

_EPILOG = """\
examples: 'bacalhaunet twin make twin.hdf5 --frames-per-cell 64 --seed 1' writes 39,936 frames;
'bacalhaunet twin show twin.png' draws all classes at +30 dB."""


def build(parser: ArgumentParser) -> None:
    """Add the subcommands."""
    parser.epilog = _EPILOG
    commands = parser.add_subcommands(required=True, dest="action")
    for name, summary in _ACTIONS.items():
        action = CommandParser(
            description=f"{summary[0].upper()}{summary[1:]}.", formatter_class=parser.formatter_class
        )
        import_module(f"bacalhaunet.cli.twin_{name}").build(action)
        commands.add_subcommand(name, action, help=summary)


def run(arguments: Namespace) -> None:
    """Run the chosen subcommand."""
    import_module(f"bacalhaunet.cli.twin_{arguments.action}").run(arguments[arguments.action])
