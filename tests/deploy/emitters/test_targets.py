"""A new target is one folder and one line; every target is found by name, listed and written the same way."""

import json
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import onnx
import pytest

from bacalhaunet.cli.main import main
from bacalhaunet.deploy import emitters
from bacalhaunet.deploy.emitters import Target, emitter_for, targets, write_program
from bacalhaunet.deploy.integer.lowering import lower_model
from bacalhaunet.errors import ConfigError
from tests.deploy.random_networks import random_network

FOLDER = """
import json
from bacalhaunet.deploy.emitters import Emission

def emit(program, name, vectors):
    layers = [{"name": x.name, "reads": x.sources, "writes": x.output} for x in program.layers]
    text = json.dumps({"labels": program.labels, "layers": layers})
    return Emission({f"{name}.json": text, "raw/bytes.bin": bytes(vectors)}, {"layers": len(layers)})
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An emitter of a stranger's: a folder, not in the table yet."""
    package = tmp_path / "json_emitter"
    package.mkdir()
    (package / "__init__.py").write_text(FOLDER)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_folder_and_a_line_make_a_target(folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(emitters.TARGETS, "json", Target("json_emitter", "the network as JSON"))
    model, path = random_network(5), tmp_path / "network.onnx"
    onnx.save(model, path)
    program = lower_model(model)
    assert main(["compile", str(path), "--target", "json", "-o", str(tmp_path / "out"), "--name", "net"]) == 0
    printed = capsys.readouterr().out
    assert "net.json, raw/bytes.bin" in printed
    assert f"{len(program.layers)} layers" in printed
    document = json.loads((tmp_path / "out" / "net.json").read_text())
    assert document["labels"] == list(program.labels)
    assert [layer["writes"] for layer in document["layers"]] == [layer.output for layer in program.layers]
    assert (tmp_path / "out" / "raw" / "bytes.bin").read_bytes() == bytes(2)


def test_the_emitter_of_the_page_is_a_folder_and_a_line(tmp_path, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "compile.md").read_text()
    section = page[page.index("## Another target") :]
    module = re.search(r"```python\n(.*?)```", section, re.S)[1]
    row = re.search(r'```text\n    "json": Target\("(.*?)", "(.*?)"\),\n```', section)
    package = tmp_path / "emitter_of_the_page"
    package.mkdir()
    (package / "__init__.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert row[1] == "bacalhaunet.deploy.emitters.json"
    monkeypatch.setitem(emitters.TARGETS, "json", Target("emitter_of_the_page", row[2]))
    program = lower_model(random_network(5))
    write_program(program, tmp_path / "out", "json", name="net")
    document = json.loads((tmp_path / "out" / "net.json").read_text())
    assert document["labels"] == list(program.labels)
    assert [layer["writes"] for layer in document["layers"]] == [layer.output for layer in program.layers]


def test_another_package_adds_a_target_by_an_entry_point_and_cannot_replace_one(folder, monkeypatch):
    names = ("somebody's", "c")
    points = [EntryPoint(name, "json_emitter", emitters.GROUP) for name in names]
    monkeypatch.setattr(emitters, "entry_points", lambda group: points)
    assert emitter_for("somebody's").__name__ == "json_emitter"
    assert targets()["c"] == emitters.TARGETS["c"]


def test_an_unknown_target_is_refused_with_those_there_are_before_anything_is_read(tmp_path, capsys):
    with pytest.raises(ConfigError, match=r"(?s)no target is called 'vhdl'.*c \(portable C99"):
        emitter_for("vhdl")
    assert main(["compile", "missing.onnx", "--target", "vhdl", "-o", str(tmp_path / "out")]) == 2
    assert "no target is called" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_target_writes_what_its_emitter_returns(tmp_path):
    program = lower_model(random_network(6))
    emission = write_program(program, tmp_path / "c", "c", name="net")
    written = {str(file.relative_to(tmp_path / "c")) for file in (tmp_path / "c").rglob("*") if file.is_file()}
    assert written == set(emission.files)
    again = emitter_for("c").emit(program, "net", 2)
    assert again == emission
    assert not np.any([b"model_" in (tmp_path / "c" / file).read_bytes() for file in ("net.h", "net.c")])
