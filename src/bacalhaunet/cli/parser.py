"""The parser of every command: options in either spelling, and errors of a few lines instead of the whole usage.

jsonargparse's exceptions carry a message alone (4.53: no key, value or type as attributes), so the message is asked
for two things: how it begins, which says what kind of mistake it is, and the name and the value in it. What would be
allowed comes from the type that the command declared. A message that is none of these kinds is shown as it is.
"""

from __future__ import annotations

import re
import sys
from argparse import SUPPRESS, Action, ArgumentError
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from bacalhaunet.errors import ConfigError, suggestion

Settings = TypeVar("Settings")

_WRONG_VALUE, _UNKNOWN = 'Parser key "', "unrecognized arguments: "
_WORDS = {
    int: "a whole number",
    float: "a number",
    NoneType: "null",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
    Path: "a path",
}


class HelpLayout(DefaultHelpFormatter):
    """jsonargparse's layout of help, which shows types and defaults, made shorter and even.

    The usage leaves options out that need not be there, options are spelled with dashes, and docstrings lose their
    marks. Of the text around them, indented lines are commands, which go on in another line only before an option.
    """

    def _format_usage(
        self, usage: str | None, actions: Iterable[Action], groups: Iterable[Any], prefix: str | None
    ) -> str:
        actions = list(actions)
        needed = [action for action in actions if action.required or not action.option_strings]
        more = any(action not in needed and action.help != SUPPRESS and action.dest != "help" for action in actions)
        self._prog = self._prog.replace(" [options]", "") + (" [OPTIONS]" if more else "")
        return super()._format_usage(usage, needed, (), prefix)

    def _expand_help(self, action: Action) -> str:
        return super()._expand_help(action).replace("<class 'Path'>", "Path").replace("``", "")

    def _format_action_invocation(self, action: Action) -> str:
        spelled = copy(action)
        spelled.option_strings = [with_dashes(option) for option in action.option_strings]
        return super()._format_action_invocation(spelled)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for verbatim, group in groupby(text.splitlines(), lambda line: line.startswith(" ") or not line):
            if verbatim:
                lines += [part for line in group for part in _continued(line, width)]
            else:
                lines += wrap(" ".join(group), width, break_on_hyphens=False)
        return "\n".join(indent + line for line in lines)


class CommandParser(ArgumentParser):
    """jsonargparse's parser with errors in the form of ``bacalhaunet.errors``."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{"formatter_class": HelpLayout, **settings})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong, what is allowed and where help is, and end with 2."""
        parser = getattr(ex, "subcommand_parser", None) or self
        print(f"error: {_in_house_form(message, ex, parser)}", file=sys.stderr)
        self.exit(2)


def _continued(command: str, width: int) -> list[str]:
    """Return a command in lines of at most ``width`` columns where its options allow it, for a shell to read."""
    lines = [""]
    for part in re.split(r" (?=--?[a-z])", command):
        if lines[-1] and len(lines[-1]) + len(part) + 3 > width:
            lines[-1] += " \\"
            lines.append(f"      {part}")
        else:
            lines[-1] = f"{lines[-1]} {part}" if lines[-1] else part
    return lines


def respelled(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return the words of a command line with each option as the parser spells it, with dashes or underscores.

    Values, and what follows ``--``, are left alone.
    """
    known = set(_options(parser))
    spelling = {option.replace("_", "-"): option for option in known}
    result: list[str] = []
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if word == "--":
            return [*result, *words[place:]]
        if name.startswith("--") and name not in known:
            whole = name.partition(".")[0].replace("_", "-")
            if f"{whole}.help" in spelling:  # parts of a setting that may be absent are not listed
                name = "--" + name[2:].replace("-", "_")
            word = spelling.get(name.replace("_", "-"), name) + equals + value
        result.append(word)
    return result


def with_dashes(option: str) -> str:
    """Return an option as it is shown."""
    return option.replace("_", "-")


def _options(parser: ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser and of its subcommands."""
    for action in parser._actions:
        yield from action.option_strings
        choices = getattr(action, "choices", None)
        for one in choices.values() if isinstance(choices, dict) else ():
            if isinstance(one, ArgumentParser):
                yield from _options(one)


def _in_house_form(message: str, error: Exception | None, parser: ArgumentParser) -> ConfigError:
    # jsonargparse reads the parts of a setting that may be absent with a parser of its own, whose name says nothing.
    prog = parser.prog.replace(" [options]", "") + " " if parser.prog.startswith("bacalhaunet") else ""
    help_ = f"'{prog}--help' lists the options"
    if message.startswith(_WRONG_VALUE):
        return _wrong_value(message, parser, help_)
    problem, allowed, meant = message, None, None
    if message.startswith(_UNKNOWN):
        word = message.removeprefix(_UNKNOWN).split()[0].partition("=")[0]
        problem = f"{word!r} is not known here"
        options = dict.fromkeys(map(with_dashes, _options(parser)))
        meant = suggestion(with_dashes(word), options) if word.startswith("-") else None
    elif isinstance(error, ArgumentError) and (choices := _choices(error.argument_name, parser)):
        word = error.message.split("'")[1]
        problem, allowed, meant = f"{word!r} is not known here", ", ".join(choices), suggestion(word, choices)
    elif isinstance(error, KeyError) and (quoted := message.split("'")[1::2]):  # a group and its setting, of a file
        meant = suggestion(".".join(quoted), (action.dest for action in parser._actions))
    return ConfigError(problem, allowed=allowed, action=f"{meant} {help_}" if meant else help_)


def _choices(name: str | None, parser: ArgumentParser) -> list[str]:
    """Return what an argument, such as the one of subcommands, takes; nothing where it is open."""
    for action in parser._actions:
        if name in (action.dest, *action.option_strings) and action.choices:
            return list(map(str, action.choices))
    return []


def _wrong_value(message: str, parser: ArgumentParser, help_: str) -> ConfigError:
    problem = message.rpartition(_WRONG_VALUE)[2]  # the innermost, of a setting that was given with its parts
    key = problem.partition('"')[0]
    action = next((action for action in parser._actions if action.dest == key), None)
    name = with_dashes(f"--{key}") if action is None or action.option_strings else key
    _, told, value = message.rpartition("value: ")
    if not told:
        return ConfigError(f"{name}: {' '.join(problem.partition(':')[2].split())}", action=help_)
    allowed = _type_in_words(getattr(action, "_typehint", None))
    if f"--{key}.help" in _options(parser):
        allowed, help_ = "", f"set its parts, as --{key}.NAME VALUE: '{parser.prog} --{key}.help' lists them"
    return ConfigError(f"{name} is {value.strip()!r}", allowed=allowed or None, action=help_)


def _type_in_words(type_: Any) -> str:
    """Return what values of a type look like, or nothing for a type without a plain name.

    >>> _type_in_words(int | None), _type_in_words(Literal["round", "square"])
    ('a whole number or null', 'round, square')
    """
    origin, parts = get_origin(type_), get_args(type_)
    if origin is Literal:
        return ", ".join(map(str, parts))
    if origin in (Union, UnionType):
        words = [_type_in_words(part) for part in parts]
        return " or ".join(words) if all(words) else ""
    return _WORDS.get(origin or type_, "")


def instantiate(kind: type[Settings], values: Namespace) -> Settings:
    """Return the settings, a dataclass, that parsed arguments hold; ``values`` has its fields and no others."""
    parser = ArgumentParser()
    parser.add_class_arguments(kind, "run")
    settings: Settings = parser.instantiate_classes(parser.parse_object({"run": values.as_dict()})).run
    return settings
