import subprocess
import sys

import pytest

from bacalhaunet import __version__
from bacalhaunet.cli import commands
from bacalhaunet.cli.commands import Command, all_commands
from bacalhaunet.cli.main import main

COMMANDS = all_commands()


def test_the_overview_names_every_command_and_shows_examples(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)
    assert "examples:" in text


def test_no_argument_gives_the_overview(capsys):
    assert main([]) == 0
    assert "usage: bacalhaunet" in capsys.readouterr().out


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bacalhaunet {__version__}\n"


def test_an_unknown_command_is_a_usage_error_that_lists_the_known_ones(capsys):
    assert main(["clasify"]) == 2
    message = capsys.readouterr().err
    assert "'clasify'" in message
    assert "allowed: scan, " in message
    assert "did you mean classify?" in message


@pytest.mark.parametrize("words", [["help"], ["help", "models"]])
def test_help_is_a_word_too(words, capsys):
    assert main(words) == 0
    assert f"usage: {' '.join(['bacalhaunet', *words[1:]])} [" in capsys.readouterr().out


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "bacalhaunet", "cots"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "did you mean cost?" in done.stderr


class Entry:
    """An entry point of another package."""

    def __init__(self, name, command):
        self.name, self.command, self.value = name, command, "elsewhere:COMMAND"

    def load(self):
        if self.command is None:
            raise ImportError("no module called elsewhere")
        return self.command


@pytest.fixture
def other_package(monkeypatch):
    ours, theirs = Command("elsewhere", "takes a name that is ours"), Command("bacalhaunet.cli.models", "their own")
    entries = [Entry("broken", None), Entry("cost", ours), Entry("theirs", theirs)]
    monkeypatch.setattr(commands, "entry_points", lambda group: entries if group == "bacalhaunet.commands" else [])


def test_another_package_brings_commands(other_package, capsys):
    assert main(["--help"]) == 0
    assert "  theirs " in capsys.readouterr().out
    assert main(["theirs", "--help"]) == 0
    assert "usage: bacalhaunet theirs" in capsys.readouterr().out


def test_another_package_does_not_replace_a_command(other_package):
    assert all_commands()["cost"] == commands.COMMANDS["cost"] == commands.find_command("cost")


def test_a_command_that_cannot_be_loaded_leaves_the_others_alone_and_says_why(other_package, capsys):
    assert "broken" not in all_commands()
    assert main(["broken"]) == 2
    message = capsys.readouterr().err
    assert "'broken' cannot be loaded: no module called elsewhere" in message
    assert "elsewhere:COMMAND" in message


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_teaches_by_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "example" in text
    assert f"bacalhaunet {command}" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_a_usage_error(command, capsys):
    assert main([command, "--no-such-option"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no-such-option" in captured.err or "required" in captured.err or "subcommand" in captured.err


# The overview must be quick and the core must not need torch: neither may import it, whatever is installed.
@pytest.mark.parametrize("arguments", [["--help"], ["classify", "--help"]])
def test_the_core_never_imports_torch(arguments):
    script = (
        "import sys; from bacalhaunet.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'onnx', 'qonnx', 'scipy.signal', 'h5py', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("moment", ["import", "run"])
def test_a_package_of_an_extra_that_is_missing_is_said_in_one_line(monkeypatch, capsys, moment):
    class Module:
        @staticmethod
        def build(parser):
            pass

        @staticmethod
        def run(arguments):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

    def import_module(name):
        if moment == "import":
            Module.run(None)
        return Module

    monkeypatch.setattr("bacalhaunet.cli.main.import_module", import_module)
    assert main(["train"]) == 2
    message = capsys.readouterr().err
    how = "in the clone, pip install -c constraints.txt '.[train]'"
    assert message == f"error: 'bacalhaunet train' needs the package torch: {how}\n"
