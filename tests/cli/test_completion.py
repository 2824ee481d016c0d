import shutil
import subprocess
import sys

import pytest

from bacalhaunet.cli import completion
from bacalhaunet.cli.commands import COMMANDS, Command
from bacalhaunet.cli.main import main


@pytest.fixture(autouse=True)
def two_commands(monkeypatch):
    table = {
        "models": COMMANDS["models"],
        "search": COMMANDS["search"],
        "absent": Command("not_installed.command", "of a missing extra", "train"),
    }
    monkeypatch.setattr(completion, "all_commands", lambda: table)


def completed(script, *words):
    """Return what bash offers for the last of the words."""
    ask = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _shtab_bacalhaunet; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_and_options(capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert completed(script, "bacalhaunet", "mo") == ["models"]
    assert completed(script, "bacalhaunet", "models", "--rec") == ["--recipe"]
    assert completed(script, "bacalhaunet", "search", "run", "--prune-ep") == ["--prune-epochs"]
    assert completed(script, "bacalhaunet", "ab") == ["absent"]


def test_a_shell_that_has_no_script_is_refused_with_those_that_have(capsys):
    assert main(["completion", "fish"]) == 2
    assert "allowed: bash, zsh, tcsh" in capsys.readouterr().err


def test_without_shtab_it_says_which_extra_brings_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "needs the package shtab" in captured.err
    assert ".[completion]" in captured.err
