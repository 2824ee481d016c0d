"""The parser of every command: options in either spelling, and errors of a few lines instead of the whole usage."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NoReturn

from jsonargparse import ArgumentParser

from bacalhaunet.errors import ConfigError

_WRONG_VALUE = re.compile(r'Parser key "(?P<key>[^"]+)":\s+(?P<message>.*)', re.DOTALL)
_CHOICE = re.compile(r"Expected a typing\.Literal\[(?P<allowed>.+?)\]")
_TYPE = re.compile(r"Expected an? <class '(?P<type>[\w.]+)'>")
_GIVEN = re.compile(r"(?:Got|Given) value: (?P<value>.*)\Z", re.DOTALL)
_UNKNOWN = re.compile(r"unrecognized arguments: (?P<word>\S+)")

_TYPE_NAMES = {"int": "a whole number", "float": "a number", "NoneType": "null", "str": "text", "bool": "true or false"}


class CommandParser(ArgumentParser):
    """jsonargparse's parser with errors in the form of ``bacalhaunet.errors``."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong, what is allowed and where help is, and end with 2."""
        parser = getattr(ex, "subcommand_parser", None) or self
        print(f"error: {_in_house_form(message, parser)}", file=sys.stderr)
        self.exit(2)


def respelled(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return the words of a command line with each option as the parser spells it, with dashes or underscores.

    Values, and what follows ``--``, are left alone.
    """
    known = set(_options(parser))
    spelling = {option.replace("_", "-"): option for option in known}
    found: list[str] = []
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if word == "--":
            return [*found, *words[place:]]
        if name.startswith("--") and name not in known:
            whole = name.partition(".")[0].replace("_", "-")
            if f"{whole}.help" in spelling:  # parts of a setting that may be absent are not listed
                name = "--" + name[2:].replace("-", "_")
            word = spelling.get(name.replace("_", "-"), name) + equals + value
        found.append(word)
    return found


def _options(parser: ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser and of its subcommands."""
    for action in parser._actions:
        yield from action.option_strings
        choices = getattr(action, "choices", None)
        for one in choices.values() if isinstance(choices, dict) else ():
            if isinstance(one, ArgumentParser):
                yield from _options(one)


def _in_house_form(message: str, parser: ArgumentParser) -> ConfigError:
    action = f"'{parser.prog.replace(' [options]', '')} --help' lists the options"
    if wrong := _WRONG_VALUE.match(message):
        return _wrong_value(wrong["key"], wrong["message"], parser, action)
    if unknown := _UNKNOWN.match(message):
        word = unknown["word"].partition("=")[0]
        close = get_close_matches(word, list(_options(parser)), n=3, cutoff=0.6) if word.startswith("-") else []
        meant = f"did you mean {' or '.join(close)}? " if close else ""
        return ConfigError(f"{word!r} is not known here", action=meant + action)
    return ConfigError(message, action=action)


def _wrong_value(key: str, message: str, parser: ArgumentParser, action: str) -> ConfigError:
    given = _GIVEN.search(message)
    if given is None:
        return ConfigError(f"--{key}: {' '.join(message.split())}", action=action)
    choice = _CHOICE.search(message)
    names = [_TYPE_NAMES[one] for one in _TYPE.findall(message) if one in _TYPE_NAMES]
    allowed = re.sub("['\"]", "", choice["allowed"]) if choice else " or ".join(names)
    if f"--{key}.help" in _options(parser):
        allowed, action = "", f"set its parts, as --{key}.NAME VALUE: '{parser.prog} --{key}.help' lists them"
    return ConfigError(f"--{key} is {given['value'].strip()!r}", allowed=allowed or None, action=action)
