import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("h5py")

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.cli.main import main
from bacalhaunet.data.radioml import RadioMLFile
from tests.classify.small_file import write_small_file
from tests.cost.small_networks import Builder

KEYS = {"accuracy", "interval", "frames", "accuracy_by_snr", "accuracy_by_modulation", "confusion"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_small_file(tmp_path_factory.mktemp("data") / "small.hdf5", frames_per_cell=10)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    b = Builder(seed=3)
    b.op("Flatten", b.conv(b.quant("frames", 8), (24, 2, 1024), name="one"), output="logits")
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    onnx.save(b.model(shape=(2, 1024)), path)
    return path


def run(capsys, *words):
    code = main(["evaluate", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_json_is_the_count_over_the_whole_file(network, data, capsys):
    code, out, _ = run(capsys, network, "--data", data, "--split", "all", "--json")
    document = json.loads(out)
    with RadioMLFile(data) as file:
        frames, labels, snrs = file.read(np.arange(len(file)))
    predicted = open_engine(network).logits(frames).argmax(1)
    assert code == 0
    assert set(document) == KEYS
    assert document["frames"] == len(labels)
    assert document["accuracy"] == np.mean(predicted == labels)
    assert document["accuracy_by_snr"] == {str(s): np.mean((predicted == labels)[snrs == s]) for s in range(-20, 31, 2)}
    assert set(document["accuracy_by_modulation"]) == {"BPSK", "QPSK", "FM"}
    assert np.array_equal(np.sum(document["confusion"], axis=1), np.bincount(labels, minlength=24))


def test_the_parts_of_the_split_add_up_to_the_file(network, data, capsys):
    count = {
        part: json.loads(run(capsys, network, "--data", data, "--split", part, "--json")[1])["frames"]
        for part in ("all", "train", "validation", "test")
    }
    assert count["train"] + count["validation"] + count["test"] == count["all"]


def test_snr_bounds_and_classes_narrow_the_frames(network, data, capsys):
    options = ("--split", "all", "--snr-min", "-2", "--snr-max", "4", "--modulations", "[BPSK,FM]", "--json")
    document = json.loads(run(capsys, network, "--data", data, *options)[1])
    assert document["frames"] == 2 * 4 * 10
    assert list(document["accuracy_by_snr"]) == ["-2", "0", "2", "4"]


def test_the_text_gives_accuracy_and_interval_in_percent(network, data, capsys):
    code, out, _ = run(capsys, network, "--data", data)
    assert code == 0
    assert "accuracy" in out
    assert "95 % interval" in out
    assert "most often taken for" in out


def test_a_catalog_network_runs_untrained_and_says_so(data, capsys):
    pytest.importorskip("torch")
    code, out, err = run(capsys, "first-experiment", "--data", data, "--json")
    assert code == 0
    assert "without trained weights" in err
    assert json.loads(out)["frames"] == 3 * 26


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.onnx"], "does not exist"),
        (["{network}", "--engine", "abacus"], "abacus"),
        (["{network}", "--snr-min", "40"], "-20 to 30 dB"),
        (["{network}", "--threads", "0"], "threads"),
        (["nosuchnetwork"], "nosuchnetwork"),
    ],
)
def test_what_cannot_be_evaluated_ends_with_exit_code_2_and_no_document(words, message, network, data, capsys):
    words = [word.format(network=network) for word in words]
    code, out, err = run(capsys, *words, "--data", data, "--json")
    assert (code, out) == (2, "")
    assert message in err


def test_a_missing_and_a_damaged_data_file_end_with_exit_code_2(network, tmp_path, capsys):
    (tmp_path / "damaged.hdf5").write_bytes(b"not HDF5")
    for name in ("none.hdf5", "damaged.hdf5"):
        code, _, err = run(capsys, network, "--data", tmp_path / name)
        assert code == 2
        assert name in err


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_picture_is_drawn_and_the_document_stays_as_it_is(network, data, capsys, tmp_path, ending):
    pytest.importorskip("matplotlib")
    picture = tmp_path / f"evaluation.{ending}"
    code, out, _ = run(capsys, network, "--data", data, "--json", "--picture", picture)
    assert code == 0
    assert set(json.loads(out)) == KEYS
    assert picture.read_bytes().startswith(b"<?xml" if ending == "svg" else b"\x89PNG")


def test_a_picture_of_no_known_kind_is_refused_before_anything_is_computed(network, data, capsys, tmp_path):
    code, _, err = run(capsys, network, "--data", tmp_path / "missing.hdf5", "--picture", tmp_path / "e.doc")
    assert code == 2
    assert ".svg" in err


def test_a_folder_is_written_that_report_makes_a_page_of(network, data, capsys, tmp_path):
    code, _, err = run(capsys, network, "--data", data, "-o", tmp_path / "run")
    assert code == 0
    assert "bacalhaunet report" in err
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "network.onnx" in (tmp_path / "run" / "report.html").read_text()
