"""``data check``: sees every wrong value of a file, and its summary is what numpy says of the whole array."""

import json
import tracemalloc

import numpy as np
import pytest

from bacalhaunet.cli.main import main
from bacalhaunet.data.check import check_file
from bacalhaunet.data.radioml_writer import RadioMLWriter
from bacalhaunet.errors import DatasetError
from tests.data.radioml_files import arrays, rewritten, write


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "small.hdf5", 5, (0, 7, 12), (-4, 6))


def test_the_summary_is_what_numpy_says_of_the_whole_file(small):
    summary, data = check_file(small), arrays(small)
    x, labels, snrs = data["X"].astype(float), data["Y"].argmax(1), data["Z"][:, 0]
    assert (summary.frames, summary.frames_per_cell, summary.snrs_db) == (30, 5, (-4, 6))
    assert summary.modulations == ("OOK", "32PSK", "16QAM")
    groups = [(summary.by_modulation["32PSK"], labels == 7), (summary.by_snr[6], snrs == 6)]
    for group, rows in groups:
        power = (x[rows] ** 2).sum(2).mean(1)
        assert group.frames == rows.sum()
        assert group.power == pytest.approx(power.mean(), rel=1e-6)
        assert group.power_std == pytest.approx(power.std(), rel=1e-4)
        assert (group.minimum, group.maximum) == (x[rows].min(), x[rows].max())
        assert group.outside_clip == pytest.approx(((x[rows] < -2) | (x[rows] > 3)).mean())


def test_memory_stays_bounded_by_the_block_not_the_file(tmp_path):
    def cell():
        for _ in range(20):
            yield np.ones((500, 2, 1024), np.float32)

    with RadioMLWriter(tmp_path / "big.hdf5", 10_000, labels=(3,), snrs_db=(0,)) as writer:
        writer.write_cell(3, 0, cell())
    tracemalloc.start()
    check_file(tmp_path / "big.hdf5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * (tmp_path / "big.hdf5").stat().st_size


WRONG = {
    "NaN": ("X", 17, (3, 1), np.nan, None, r"is nan\n.*frame 17 \(32PSK, 6 dB.*sample 3, Q"),
    "infinite": ("X", 29, (1023, 0), -np.inf, None, r"is -inf\n.*frame 29 .*sample 1023, I"),
    "huge": ("X", 0, (5, 0), 1e30, None, r"is 1\S*e\+30\n.*frame 0 "),
    "two ones": ("Y", 13, 3, 1, None, r"not one-hot.*\n.*frame 13 "),
    "no one": ("Y", 13, 7, 0, None, r"not one-hot.*\n.*frame 13 "),
    "half a one": ("Y", 13, 7, 0.5, float, r"not one-hot.*\n.*frame 13 "),
    "another SNR": ("Z", 8, 0, 20, None, r"OOK at 20 dB\n.*frame 8 \(OOK, 6 dB, number 3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_single_wrong_value_inside_a_cell_is_found_and_located(small, tmp_path, name):
    array, row, column, value, kind, words = WRONG[name]
    path = tmp_path / "wrong.hdf5"
    data = arrays(small)[array]
    data = data.astype(kind) if kind else data
    data[(row, *np.atleast_1d(column))] = value
    with pytest.raises(DatasetError, match=words):
        check_file(rewritten(small, path, **{array: data}))


def test_a_swapped_label_inside_a_cell_is_found(small, tmp_path):
    labels = arrays(small)["Y"]
    labels[12] = labels[0]
    with pytest.raises(DatasetError, match=r"labelled OOK at -4 dB\n.*frame 12 \(32PSK"):
        check_file(rewritten(small, tmp_path / "wrong.hdf5", Y=labels))


def test_compressed_files_pass_too(small, tmp_path):
    path = rewritten(small, tmp_path / "z.hdf5", X={"chunks": (4, 1024, 2), "compression": "gzip"})
    assert check_file(path).storage == "chunks of (4, 1024, 2), gzip"


def test_what_is_unlike_the_original_is_noted(small, tmp_path):
    silent = arrays(small)["X"]
    silent[:2] = 0
    notes = "; ".join(check_file(rewritten(small, tmp_path / "s.hdf5", X=silent)).notes)
    for words in ("3 of the 24 modulations", "SNR labels (-4, 6)", "5 frames per cell", "2 frames hold zeros only"):
        assert words in notes


def test_json_is_one_document_on_stdout(small, capsys):
    assert main(["data", "check", str(small), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["frames"] == 30
    assert document["by_snr"]["6"]["frames"] == 15


def test_the_summary_names_every_class_and_says_what_was_checked(small, capsys):
    assert main(["data", "check", str(small)]) == 0
    out = capsys.readouterr().out
    assert all(words in out for words in ("OOK", "32PSK", "16QAM", "30 frames", "passed: shapes"))


def test_a_damaged_file_ends_with_exit_code_2_and_says_where(small, tmp_path, capsys):
    data = arrays(small)["X"]
    data[20, 7, 0] = np.nan
    path = rewritten(small, tmp_path / "nan.hdf5", X=data)
    assert main(["data", "check", str(path), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "frame 20 (16QAM, -4 dB" in captured.err
    assert "sample 7, I" in captured.err
