"""The documents say only what works: their commands and their Python run, and links lead somewhere."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import bacalhaunet
from bacalhaunet.cli.commands import find_command
from bacalhaunet.cli.main import main
from bacalhaunet.cli.parser import CommandParser, respelled
from tests.docs.documented import PAGES, ROOT, SHELLS, Block, Substitutes, blocks_of, name_of, signal, words_of

NOT_RUN = {
    "bacalhaunet compress runs/float/model.safetensors --min-accuracy": "ends where a trained network's accuracy does",
    "bacalhaunet ablation": "compresses a dozen times",
    "bacalhaunet report runs/reproduce-quick": "reads what the main job of minutes left; tests/report draws such pages",
    "bacalhaunet listen": "waits for a radio; tests/classify/live plays one",
    "bacalhaunet reproduce": "takes minutes to hours; tests/paper runs it with a tiny budget",
    "bacalhaunet search run --storage": "needs a database server; tests/search starts one",
    "bacalhaunet fidelity": "needs frames of the real data set; tests/paper runs it where they are",
    "make": "runs the tests, or the job of an hour",
    "optuna-dashboard": "serves until it is stopped",
    "pip install": "changes the environment; tests/packaging installs the wheel into one of its own",
    "python build.py": "tests/examples runs it",
    "python -m bacalhaunet_paper": "needs the runs of hours; tests/paper draws it",
    "sudo apt install": "changes the system; .ci/packages installs the same",
    "torchrun": "starts processes; tests/training/test_distributed.py trains in two",
    "./run.sh": "tests/examples runs it",
}
"""Commands that are not run, by how they begin, and why; what they name is still checked."""

PYTHON_NOT_RUN = {"bn.train(": "takes hours; the examples of bacalhaunet.api train on a few small frames"}
"""Blocks of Python that are not run, by what they call, and why; the names of the front door are still looked up."""

ONE_BATCH = (
    *("--epochs", "1", "--batch_size", "32", "--threads", "1", "--accelerator", "cpu"),
    *("--data.frames_per_epoch", "32", "--data.validation_frames_per_cell", "1"),
)
SMALLER = {
    "train": ONE_BATCH,
    # Weights that were never trained lie below the report's thresholds, all of them.
    "prune": (*ONE_BATCH, "--steps", '["5e-5:0.01", "5e-5:0.02", "5e-5:0.03"]'),
    "compress": (*ONE_BATCH[2:], "--prune_epochs", "1", "--norm_batches", "1", "--allocation.factor", "1"),
    "calibrate": ("--signals", "2", "--frames", "500"),
    "search run": (*ONE_BATCH, "--trials", "1"),
    "search best": ("--min-accuracy", "0"),
    "twin make": ("--frames-per-cell", "10"),
}
"""Settings added to a command so that what takes hours takes seconds."""

OUTPUTS = {"-o", "--output", "--picture", "--recipe"}
"""Options whose value is written, not read."""

RUN = [page for page in PAGES if any(block.language in (*SHELLS, "python") for block in blocks_of(page))]
COMMANDS = [
    pytest.param(page, command, id=f"{name_of(page)}: {command}")
    for page in PAGES
    for block in blocks_of(page)
    if block.language in SHELLS
    for command in block.commands()
]


def reason_not_to_run(command: str) -> str | None:
    return next((NOT_RUN[start] for start in NOT_RUN if re.match(rf"{re.escape(start)}(\W|$)", command)), None)


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_what_a_page_says_runs(page, tmp_path, monkeypatch, substitutes):
    monkeypatch.chdir(tmp_path)
    names = dict(READER)
    for block in blocks_of(page):
        where = f"{name_of(page)}, line {block.line}"
        if block.language in SHELLS:
            for command in block.commands():
                if reason_not_to_run(command) is None:
                    words = words_of(command)
                    assert words[0] == "bacalhaunet", f"{where}: {command}: not a command of ours and not in NOT_RUN"
                    substitutes.provide(inputs(words), tmp_path)
                    assert main(smaller(words[1:])) == 0, f"{where}: {command}"
        elif block.language == "python":
            substitutes.provide(list(texts(block)), tmp_path)
            if any(start in block.text for start in PYTHON_NOT_RUN):
                missing = [name for name in re.findall(r"\bbn\.([\w.]+)", block.text) if not is_there(name)]
                assert missing == [], where
                continue
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)


def is_there(path: str) -> bool:
    """Return whether the front door has a name, such as ``datasets.Arrays``."""
    found = bacalhaunet
    for name in path.split("."):
        found = getattr(found, name, None)
    return found is not None


@pytest.fixture(scope="session")
def substitutes(tmp_path_factory):
    return Substitutes(tmp_path_factory.mktemp("substitutes"))


READER = {
    "samples": signal(),
    "frames": np.stack([signal()[:1024].real, signal()[:1024].imag])[None],
    "logits": np.eye(24, dtype=np.float32),
    "my_frames": lambda label, snr_db: np.ones((100, 2, 1024), np.float32),
}
"""What a page may take for granted in its Python: samples and frames that the reader has."""


def inputs(words: list[str]) -> list[str]:
    """Return the words of a command that may be files it reads."""
    made = words[1:3] in (["twin", "make"], ["twin", "show"])
    return [word for before, word in pairwise(words) if before not in OUTPUTS and not made]


def smaller(words: list[str]) -> list[str]:
    """Return the words of a command with what makes it quick."""
    more = next((SMALLER[start] for start in SMALLER if words[: len(start.split())] == start.split()), ())
    return [*words, *more]


def texts(block: Block) -> Iterator[str]:
    """Yield the texts in a block of Python that are no docstrings."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            yield node.value


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_what_a_command_names_is_there(page, command):
    words = words_of(command)
    if words[0] == "bacalhaunet":
        found = find_command(words[1])
        assert found is not None, words[1]
        parser = CommandParser(prog=f"bacalhaunet {words[1]}", exit_on_error=False)
        import_module(found.module).build(parser)
        parser.parse_args(respelled(parser, words[2:]))
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
    elif words[0].startswith("./") or (words[0] == "python" and words[1].endswith(".py")):
        assert (page.parent / words[words[0] == "python"]).is_file()
    elif words[:2] == ["pip", "install"]:
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for extras in re.findall(r"\[(.*)\]", command):
            assert set(extras.split(",")) <= set(known)


def test_every_reason_not_to_run_has_a_command():
    said = [command for _, command in (param.values for param in COMMANDS)]
    assert [start for start in NOT_RUN if not any(command.startswith(start) for command in said)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_to_a_file_finds_it(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).is_file(), target


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[1]
    for page in sorted((ROOT / "docs").glob("**/*.md")):
        assert str(Path(page).relative_to(ROOT / "docs")) in navigation, page


def test_the_reference_names_what_is_there():
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        for name in re.findall(r"^::: ([\w.]+)", page.read_text(encoding="utf-8"), re.M):
            module, _, attribute = name.rpartition(".")
            assert hasattr(import_module(module), attribute) or import_module(name), f"{page.stem}: {name}"


def test_the_quick_tests_are_there():
    lines = (ROOT / "tests" / "quick.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#") and not (ROOT / line).exists()] == []
