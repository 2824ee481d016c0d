"""``--data FILE`` beside ``--data.x``: what a command that trains takes its frames from, and how."""

from __future__ import annotations

from argparse import SUPPRESS
from typing import Any

from jsonargparse import ArgumentParser
from jsonargparse._actions import _ActionConfigLoad

from bacalhaunet.data.dataset import SOURCES


class _DataOption(_ActionConfigLoad):
    """jsonargparse's option for a whole group of settings, where a text is the group's ``file``."""

    def _load_config(self, value: Any, parser: ArgumentParser) -> Any:
        return super()._load_config(  # type: ignore[no-untyped-call]
            {"file": value} if isinstance(value, str) else value, parser
        )


def name_data(parser: ArgumentParser) -> None:
    """Let ``--data FILE`` set the file of the settings ``data``, in place of ``--data.file``."""
    for action in parser._actions:
        if action.option_strings == ["--data"]:
            action.__class__ = _DataOption
            action.metavar = "FILE"
            action.help = f"what to train on: {SOURCES} (default: the twin)"
        elif action.option_strings == ["--data.file"]:
            del parser._option_string_actions["--data.file"]
            action.help = SUPPRESS
            for group in parser._action_groups:
                if action in group._group_actions:
                    group._group_actions.remove(action)
