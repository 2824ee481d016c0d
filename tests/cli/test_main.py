import subprocess
import sys

import pytest

from bacalhaunet import __version__
from bacalhaunet.cli.commands import COMMANDS
from bacalhaunet.cli.main import main


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
    assert "clasify" in message
    assert "classify" in message


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
        "heavy = {'torch', 'onnx', 'qonnx', 'scipy', 'h5py', 'matplotlib'} & set(sys.modules); "
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
