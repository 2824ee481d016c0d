"""The parser of every command: spellings and errors."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from bacalhaunet.cli.parser import CommandParser, respelled


@dataclass(frozen=True)
class Part:
    kind: Literal["round", "square"] = "round"
    most_frames: int | None = None


@dataclass(frozen=True)
class Whole:
    batch_size: int = 4
    part: Part = field(default_factory=Part)
    other_part: Part | None = None


@pytest.fixture
def parser():
    made = CommandParser(prog="bacalhaunet test")
    made.add_argument("count", type=int, nargs="?")
    made.add_argument("--config", action="config")
    made.add_argument("--snr-min", type=float)
    made.add_argument("--shares", type=list[float])
    made.add_argument("--color", choices=["red", "blue"])
    made.add_class_arguments(Whole, as_group=False)
    return made


def parsed(parser, *words):
    return parser.parse_args(respelled(parser, words))


@pytest.mark.parametrize("sign", ["-", "_"])
def test_options_are_taken_with_dashes_and_with_underscores(parser, sign):
    words = [word.replace("+", sign) for word in ("--snr+min=-3", "--batch+size", "8", "--part.most+frames", "5")]
    found = parsed(parser, *words, f"--other{sign}part.most{sign}frames", "2")
    assert (found["snr_min"], found["batch_size"], found["part.most_frames"]) == (-3.0, 8, 5)
    assert found["other_part.most_frames"] == 2


def test_values_are_left_as_they_are(parser):
    words = ["--name", "a-b_c", "--batch_size=--x-y", "--", "--batch-size"]
    assert respelled(parser, words) == words


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["--part.kind", "oval"], ["error: --part.kind is 'oval'", "  allowed: round, square"]),
        (["--batch_size", "x"], ["error: --batch-size is 'x'", "  allowed: a whole number"]),
        (["--part.most_frames", "x"], ["error: --part.most-frames is 'x'", "  allowed: a whole number or null"]),
        (["--batch-sise", "3"], ["error: '--batch-sise' is not known here", "did you mean --batch-size?"]),
        (["--other_part", "3"], ["error: --other-part is '3'", "--other_part.help"]),
        (["--other_part.most_frames", "x"], ["most-frames is 'x'"]),
        (["--shares", "x"], ["error: --shares is 'x'", "  allowed: a list"]),
        (["--color", "rad"], ["error: 'rad' is not known here", "  allowed: red, blue", "did you mean red?"]),
        (["x"], ["error: count is 'x'", "  allowed: a whole number"]),
        (["3", "4"], ["error: '4' is not known here"]),
        (["--config", "missing.yaml"], ["error: --config: File does not exist: '"]),
        (["--part", "{kind: oval}"], ["error: --part.kind is 'oval'", "  allowed: round, square"]),
    ],
)
def test_what_is_wrong_is_said_in_a_few_lines_without_the_usage(parser, capsys, words, lines):
    with pytest.raises(SystemExit) as ended:
        parsed(parser, *words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(line in said for line in lines)
    assert len(said.splitlines()) <= 3
    assert "usage" not in said


def test_a_setting_that_a_file_misspells_is_said_with_what_was_meant(parser, tmp_path, capsys):
    (tmp_path / "settings.yaml").write_text("part:\n  knid: oval\n")
    with pytest.raises(SystemExit):
        parsed(parser, "--config", str(tmp_path / "settings.yaml"))
    said = capsys.readouterr().err
    assert "'knid'" in said
    assert "did you mean part.kind" in said


def test_a_mistyped_subcommand_gets_a_suggestion(capsys):
    parser = CommandParser(prog="bacalhaunet test")
    actions = parser.add_subcommands(required=True, dest="action")
    for name in ("run", "show"):
        actions.add_subcommand(name, CommandParser())
    with pytest.raises(SystemExit):
        parsed(parser, "shwo")
    said = capsys.readouterr().err
    assert "error: 'shwo' is not known here" in said
    assert "allowed: run, show" in said
    assert "did you mean show?" in said


def test_help_is_short_and_spelled_with_dashes(parser, capsys):
    parser.add_argument("-o", "--output", required=True)
    with pytest.raises(SystemExit):
        parsed(parser, "--help")
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "usage: bacalhaunet test [OPTIONS] -o OUTPUT [count]"
    assert "--part.most-frames MOST_FRAMES" in said
    assert "_frames " not in said


def test_the_help_of_a_subcommand_names_it_as_it_is_typed(capsys):
    parser = CommandParser(prog="bacalhaunet test")
    show = CommandParser()
    parser.add_subcommands(required=True, dest="action").add_subcommand("show", show)
    show.add_argument("file", type=Path)
    with pytest.raises(SystemExit):
        parsed(parser, "show", "--help")
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "usage: bacalhaunet test show file"
    assert "type: Path)" in said


def test_examples_go_on_before_an_option_and_prose_is_filled(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    prose = "example: with many a word that says what comes out of it in the end"
    command = '  bacalhaunet test network --steps \'["5e-5:0.1", "5e-5:0.2"]\' --output runs/own'
    parser = CommandParser(prog="bacalhaunet test", epilog=f"{prose}\n{command}\nThe end.")
    with pytest.raises(SystemExit):
        parsed(parser, "--help")
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 60
    assert command.split() == said[said.index("  bacalhaunet") : said.index("The end")].replace("\\\n", "").split()
    assert " \\\n      --output" in said
