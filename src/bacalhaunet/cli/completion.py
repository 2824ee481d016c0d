"""``bacalhaunet completion``: a script that completes commands, options and values in a shell."""

from __future__ import annotations

from importlib import import_module
from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.commands import all_commands
from bacalhaunet.cli.parser import CommandParser, with_dashes
from bacalhaunet.errors import MissingExtraError, how_to_install

_EPILOG = """\
examples: bash, for this user from the next shell on
  bacalhaunet completion bash >> ~/.bash_completion
zsh, into a folder of $fpath
  bacalhaunet completion zsh > ~/.zfunc/_bacalhaunet
The script is made by shtab from today's options; make it again after an update."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("shell", type=Literal["bash", "zsh", "tcsh"], help="which shell the script is for")


def run(arguments: Namespace) -> None:
    """Print the script."""
    try:
        print(whole_parser().get_completion_script(f"shtab-{arguments.shell}"))
    except ValueError as error:
        raise MissingExtraError(
            f"completion needs the package shtab: {how_to_install('completion')}",
        ) from error


def whole_parser() -> CommandParser:
    """Return one parser of all commands, for what needs to see them at once.

    A command whose extra is not installed has its name completed and no options.
    """
    whole = CommandParser(prog="bacalhaunet")
    commands = whole.add_subcommands(required=True, dest="command")
    for name, command in all_commands().items():
        parser = CommandParser()
        commands.add_subcommand(name, parser, help=command.summary)
        try:
            import_module(command.module).build(parser)
        except ModuleNotFoundError:
            continue
        _spell_with_dashes(parser)
    return whole


def _spell_with_dashes(parser: ArgumentParser) -> None:
    """Spell the options of a parser and of its subcommands as ``--help`` does."""
    for action in parser._actions:
        action.option_strings = [with_dashes(option) for option in action.option_strings]
        for one in action.choices.values() if isinstance(action.choices, dict) else ():
            _spell_with_dashes(one)
