"""The documents say only what works: commands parse, Python examples run, links between files lead somewhere."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from bacalhaunet.cli.commands import all_commands
from bacalhaunet.cli.main import main
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import save_model
from bacalhaunet.radio.modulations import NAMES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
RUNNABLE = [ROOT / "README.md", ROOT / "docs" / "getting-started.md", ROOT / "docs" / "reproduce.md"]


def _command_lines():
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            for line in re.findall(r"^\$ (.*?[^\\])$", block, re.S | re.M):
                if line.startswith("bacalhaunet "):
                    yield pytest.param(line.replace("\\\n", " "), id=f"{page.stem}: {line}")


@pytest.mark.parametrize("line", _command_lines())
def test_a_command_of_the_documents_parses(line):
    words = shlex.split(re.split(r" [|>&]", line)[0], comments=True)[1:]
    commands = all_commands()
    assert words[0] in commands
    module = import_module(commands[words[0]].module)
    parser = ArgumentParser(exit_on_error=False)
    module.build(parser)
    parser.parse_args(words[1:])


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    assert blocks
    monkeypatch.chdir(tmp_path)
    if any("network.onnx" in block for block in blocks):
        assert main(["export", "bacalhaunet", "--bits", "6", "-o", "network.onnx"]) == 0
    if any("runs/six-bits" in block for block in blocks):
        spec = find_spec("first-experiment").quantized(6, 6, sum_bits=6)
        save_model("runs/six-bits/model.safetensors", build_network(spec), spec, classes=NAMES)
    exec("\n".join(blocks), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_link_to_a_file_finds_it(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).is_file(), target


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[1]
    for page in sorted((ROOT / "docs").glob("**/*.md")):
        assert str(page.relative_to(ROOT / "docs")) in navigation, page
