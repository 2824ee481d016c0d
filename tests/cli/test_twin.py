"""``bacalhaunet twin``: make and show from the command line."""

import json

import numpy as np
import pytest

from bacalhaunet.cli.main import main
from bacalhaunet.data import generate
from bacalhaunet.data.radioml import RadioMLFile


@pytest.fixture(autouse=True)
def few_cells(monkeypatch):
    """One process writes: the workers' own tests are beside the generator's."""
    monkeypatch.setattr(generate, "_chunks", lambda cells, count: [cells] if cells else [])


def test_make_writes_a_file_that_data_check_accepts(tmp_path, capsys):
    path = tmp_path / "twin.hdf5"
    assert main(["twin", "make", str(path), "--frames-per-cell", "1", "--seed", "3"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["data", "check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 24 * 26


def test_settings_come_from_the_command_line_and_from_a_file(tmp_path):
    files = [tmp_path / name for name in ("a.hdf5", "b.hdf5", "c.hdf5")]
    config = tmp_path / "wide.yaml"
    config.write_text("twin:\n  roll_off: 0.8\n")
    common = ["--frames-per-cell", "1"]
    assert main(["twin", "make", str(files[0]), *common]) == 0
    assert main(["twin", "make", str(files[1]), *common, "--twin.roll_off", "0.8"]) == 0
    assert main(["twin", "make", str(files[2]), *common, "--config", str(config)]) == 0
    frames = []
    for file in files:
        with RadioMLFile(file) as opened:
            frames.append(opened.read(np.array([26 * 3 + 25]))[0])
    assert not np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[1], frames[2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frames-per-cell", "0"], "frames"),
        (["--twin.roll_off", "nan"], "roll-off is 'nan'"),
        (["--workers", "0"], "workers"),
        (["--profile", "field", "--twin.roll_off", "0.3"], "does not belong"),
    ],
)
def test_make_refuses_what_it_cannot_do_and_leaves_nothing(words, message, tmp_path, capsys):
    assert main(["twin", "make", str(tmp_path / "x.hdf5"), *words]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_other_classes_names_them(tmp_path):
    path = tmp_path / "field.hdf5"
    words = ["--frames-per-cell", "1", "--profile", "field", "--field.classes", '["GMSK", "noise"]']
    assert main(["twin", "make", str(path), *words]) == 0
    with RadioMLFile(path) as file:
        assert file.layout.classes.names == ("GMSK", "noise")
        assert len(file.layout) == 2 * 26


def test_show_draws_png_and_svg_and_refuses_others(tmp_path, capsys):
    assert main(["twin", "show", str(tmp_path / "a.png"), "--snr-db", "10"]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert main(["twin", "show", str(tmp_path / "a.doc")]) == 2
    assert ".svg" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["make", "show"])
def test_help_teaches_by_an_example(action, capsys):
    assert main(["twin", action, "--help"]) == 0
    assert "example: 'bacalhaunet twin" in " ".join(capsys.readouterr().out.split())
