"""``--help`` answers at once: what takes long to import is imported when a command runs, not when it is described."""

import os
import subprocess
import sys

import pytest

from bacalhaunet.cli.commands import all_commands

HEAVY = {"torch", "lightning", "optuna", "matplotlib", "onnx", "brevitas", "qonnx", "h5py", "torchmetrics"} | {
    f"scipy.{name}"
    for name in ("signal", "stats", "ndimage", "fft", "optimize")  # scipy alone is light
}

# Each command is built in a process of its own, forked so that Python and the parser are there already.
BUILD_EACH = """
import os, sys
from importlib import import_module
from bacalhaunet.cli.commands import all_commands
from bacalhaunet.cli.parser import CommandParser
heavy = set(sys.argv[1].split(","))
for name, command in all_commands().items():
    if os.fork() == 0:
        import_module(command.module).build(CommandParser(prog=f"bacalhaunet {name}"))
        print(name, *sorted(heavy & set(sys.modules)), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def imported():
    """The heavy packages that building each command imports."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    words = [sys.executable, "-c", BUILD_EACH, ",".join(sorted(HEAVY))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=True)
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}


@pytest.mark.parametrize("command", all_commands())
def test_describing_a_command_imports_nothing_heavy(command, imported):
    assert imported[command] == []
