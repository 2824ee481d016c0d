"""Entry point: find the command, import only its module, run it, turn errors into messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from bacalhaunet import __version__
from bacalhaunet.cli.commands import all_commands, find_command
from bacalhaunet.errors import BacalhauNetError, ConfigError, MissingExtraError, how_to_install, suggestion

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

_EXAMPLES = """\
examples:
  bacalhaunet scan recording.sigmf-meta       name the signals of a recording
  bacalhaunet models                          what networks there are
  bacalhaunet train --epochs 10 -o runs/mine  train a network
  bacalhaunet cost runs/mine                  where its score comes from"""


def _overview() -> str:
    commands = all_commands()
    width = max(map(len, commands))
    rows = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in commands.items())
    return (
        "usage: bacalhaunet [--help] [--version] COMMAND ...\n\n"
        "Name the modulation of radio signals with networks that fit anywhere.\n\n"
        f"commands:\n{rows}\n\n{_EXAMPLES}\n\n'bacalhaunet COMMAND --help' explains a command by an example.\n"
    )


def _run(name: str, arguments: Sequence[str]) -> None:
    from bacalhaunet.cli.parser import CommandParser, respelled

    command = find_command(name)
    if command is None:
        known = all_commands()
        action = suggestion(name, known) or "'bacalhaunet --help' says what each does"
        raise ConfigError(f"no command is called {name!r}", allowed=", ".join(known), action=action)
    try:
        module = import_module(command.module)
        description = f"{command.summary[0].upper()}{command.summary[1:]}."
        parser = CommandParser(prog=f"bacalhaunet {name}", description=description)
        module.build(parser)
        module.run(parser.parse_args(respelled(parser, arguments)))
    except ModuleNotFoundError as error:
        if command.extra is None or (error.name or "").startswith("bacalhaunet"):
            raise
        raise MissingExtraError(
            f"'bacalhaunet {name}' needs the package {error.name}: {how_to_install(command.extra)}"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0: done. 1: done, and what was asked for does not hold. 2: bad input or usage, with a message on standard error.
    130: interrupted.
    """
    # Threads that spin while they wait slow torch down ten times and more on a machine that has other work to do.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if not words or words[0] in ("-h", "--help"):
        print(_overview(), end="")
        return EXIT_OK
    if words[0] == "--version":
        print(f"bacalhaunet {__version__}")
        return EXIT_OK
    try:
        _run(words[0], words[1:])
    except BacalhauNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped if it can resume", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as in `| head`
        sys.stderr.close()
        return EXIT_OK
    except SystemExit as exit_:  # jsonargparse ends this way after --help (0) and on a usage error (2)
        return exit_.code if isinstance(exit_.code, int) else EXIT_USAGE
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
