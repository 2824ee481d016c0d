"""RadioML files: written and read back in any order, from any process, and refused when damaged."""

import hashlib
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from bacalhaunet.data.layout import CellLayout
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.data.radioml_writer import RadioMLWriter
from bacalhaunet.errors import ConfigError, DatasetError
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import NAMES, SNRS_DB
from tests.data.radioml_files import arrays, cell_frames, rewritten, write


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "small.hdf5", 5, (0, 7, 12), (-4, 6))


def test_the_file_has_the_shapes_types_and_order_of_radioml_2018(tmp_path):
    path = write(tmp_path / "all.hdf5", 2)
    data = arrays(path)
    assert {name: (array.shape, str(array.dtype)) for name, array in data.items()} == {
        "X": ((1248, 1024, 2), "float32"),
        "Y": ((1248, 24), "int64"),
        "Z": ((1248, 1), "int64"),
    }
    labels, snrs, numbers = np.meshgrid(range(24), SNRS_DB, range(2), indexing="ij")
    assert np.array_equal(data["Y"], np.eye(24, dtype=np.int64)[labels.ravel()])
    assert np.array_equal(data["Z"][:, 0], snrs.ravel())
    assert np.array_equal(data["X"][:, 0], np.stack([labels.ravel(), snrs.ravel()], axis=1))
    assert np.array_equal(data["X"][:, 1, 0], numbers.ravel())


@pytest.mark.parametrize("storage", [{}, {"chunks": (4, 1024, 2)}, {"chunks": (7, 512, 1), "compression": "gzip"}])
def test_any_storage_reads_the_frames_asked_for_in_their_order(small, tmp_path, storage):
    path = rewritten(small, tmp_path / "stored.hdf5", X=storage)
    expected = arrays(small)
    indices = np.array([29, 3, 3, 4, 5, 0, 17, 16, 28])
    with RadioMLFile(path) as file:
        frames, labels, snrs = file.read(indices)
    assert (str(frames.dtype), frames.shape, str(labels.dtype)) == ("float32", (9, 2, 1024), "int64")
    assert np.array_equal(frames, expected["X"][indices].transpose(0, 2, 1))
    assert np.array_equal(labels, expected["Y"][indices].argmax(1))
    assert np.array_equal(snrs, expected["Z"][indices, 0])


def test_no_frames_are_read_when_none_are_asked_for(small):
    assert RadioMLFile(small).read(np.array([], dtype=np.int64)).frames.shape == (0, 2, 1024)


@pytest.mark.parametrize(
    ("labels", "snrs_db", "count"), [((4,), (0,), 3), ((2, 5), (0,), 1), ((9,), (8, 10), 1), ((3, 1), (4, -4), 6)]
)
def test_any_regular_subset_of_classes_and_snrs_is_found(tmp_path, labels, snrs_db, count):
    file = RadioMLFile(write(tmp_path / "subset.hdf5", count, labels, snrs_db))
    assert file.layout == CellLayout(count, labels, snrs_db)
    assert file.names == tuple(NAMES[label] for label in labels)
    assert len(file) == len(labels) * len(snrs_db) * count


def test_numbers_outside_the_file_are_refused(small):
    for index in (-1, 30):
        with pytest.raises(IndexError, match="which has 30"):
            RadioMLFile(small).read(np.array([0, index]))


def _read_in_child(file, queue):
    queue.put(file.read(np.array([11])).frames[0, :, 0].tolist())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_open_file_goes_into_worker_processes(small, method):
    context = multiprocessing.get_context(method)
    file = RadioMLFile(small)
    file.read(np.array([1]))
    queue = context.Queue()
    worker = context.Process(target=_read_in_child, args=(file, queue))
    worker.start()
    assert queue.get(timeout=60) == [7, -4]
    worker.join(30)
    assert worker.exitcode == 0
    assert file.read(np.array([29])).labels[0] == 12


def test_a_pickled_file_reads_the_same(small):
    file = RadioMLFile(small)
    again = pickle.loads(pickle.dumps(file))
    assert np.array_equal(again.read(np.arange(30)).frames, file.read(np.arange(30)).frames)


def test_threads_share_an_open_file(small):
    file = RadioMLFile(small)
    with ThreadPoolExecutor(4) as pool:
        for index, frames in enumerate(pool.map(lambda n: file.read(np.array([n])).frames, list(range(30)) * 5)):
            assert frames[0, 0, 1] == index % 5


def test_cells_written_in_any_order_and_blocks_give_the_same_bytes(tmp_path):
    labels, snrs_db = (1, 2, 20), (-2, 0, 2)
    plain = write(tmp_path / "plain.hdf5", 4, labels, snrs_db)
    shuffled = write(tmp_path / "shuffled.hdf5", 4, labels, snrs_db, order=[8, 2, 5, 0, 7, 1, 6, 3, 4])
    blocks = RadioMLWriter(tmp_path / "blocks.hdf5", 4, labels=labels, snrs_db=snrs_db, attributes={"seed": 1})
    for label, snr_db in blocks.layout.cells:
        frames = cell_frames(label, snr_db, 4)
        blocks.write_cell(label, snr_db, (part for part in (frames[:1], frames[1:3], frames[3:])))
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (plain, shuffled, blocks.finish())}
    assert len(digests) == 1


def _write_in_child(cells, label, snr_db):
    cells.write_cell(label, snr_db, cell_frames(label, snr_db, 4))


def test_cells_written_by_several_processes_give_the_same_bytes(tmp_path):
    plain = write(tmp_path / "plain.hdf5", 4, (0, 3), (0, 2))
    writer = RadioMLWriter(tmp_path / "many.hdf5", 4, labels=(0, 3), snrs_db=(0, 2), attributes={"seed": 1})
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(_write_in_child, [(writer.cells, *cell) for cell in writer.layout.cells])
    assert writer.finish().read_bytes() == plain.read_bytes()


def test_an_interrupted_file_goes_on_with_the_missing_cells_only(tmp_path):
    path = tmp_path / "made.hdf5"
    settings = {"labels": (0, 1), "snrs_db": (0, 2), "attributes": {"seed": 3}}

    def stopped_half_way():
        with RadioMLWriter(path, 2, **settings) as writer:
            writer.write_cell(0, 2, cell_frames(0, 2, 2))
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power"):
        stopped_half_way()
    assert not path.exists()
    with RadioMLWriter(path, 2, **settings) as again:
        assert again.done_cells() == {(0, 2)}
        assert again.missing_cells() == [(0, 0), (1, 0), (1, 2)]
        for cell in again.missing_cells():
            again.write_cell(*cell, cell_frames(*cell, 2))
    assert np.array_equal(RadioMLFile(path).read(np.arange(2, 4)).frames, cell_frames(0, 2, 2))
    assert [item.name for item in tmp_path.iterdir()] == ["made.hdf5"]


@pytest.mark.parametrize("change", [{"attributes": {"seed": 4}}, {"labels": (0, 2)}, {"snrs_db": (0, 4)}])
def test_an_interrupted_file_of_other_settings_is_begun_again(tmp_path, change):
    settings = {"labels": (0, 1), "snrs_db": (0, 2), "attributes": {"seed": 3}}
    RadioMLWriter(tmp_path / "made.hdf5", 2, **settings).write_cell(0, 0, cell_frames(0, 0, 2))
    assert RadioMLWriter(tmp_path / "made.hdf5", 2, **{**settings, **change}).done_cells() == set()


def test_a_file_with_missing_cells_does_not_finish(tmp_path):
    writer = RadioMLWriter(tmp_path / "made.hdf5", 2, labels=(0, 1), snrs_db=(4,))
    writer.write_cell(0, 4, cell_frames(0, 4, 2))
    with pytest.raises(DatasetError, match="1 of 2 cells are not written, 4ASK at 4 dB"):
        writer.finish()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((3, 2, 1024), np.float32), "3 or more frames"),
        (np.zeros((1, 2, 1024), np.float32), "1 or more frames"),
        (np.zeros((2, 1024, 2), np.float32), r"float32 \(2, 1024, 2\)"),
        (np.zeros((2, 2, 1024), np.float64), "float64"),
        (np.full((2, 2, 1024), np.nan, np.float32), "NaN"),
    ],
)
def test_wrong_frames_are_refused_and_their_cell_stays_missing(tmp_path, frames, words):
    writer = RadioMLWriter(tmp_path / "made.hdf5", 2)
    with pytest.raises(DatasetError, match=words):
        writer.write_cell(0, 0, frames)
    assert writer.done_cells() == set()


def test_settings_that_cannot_be_are_refused_before_anything_is_written(tmp_path):
    for settings in ({"frames_per_cell": 0}, {"labels": (24,)}, {"labels": (1, 1)}, {"snrs_db": ()}):
        with pytest.raises(ConfigError):
            RadioMLWriter(tmp_path / "made.hdf5", **{"frames_per_cell": 1, **settings})
    with pytest.raises(ConfigError, match="GB left"):
        RadioMLWriter(tmp_path / "made.hdf5", 4096 * 10**6)
    assert list(tmp_path.iterdir()) == []


DAMAGE = {
    "no X": ({"X": None}, "no data set X"),
    "X of another type": ({"X": np.zeros((30, 1024, 2))}, "float64"),
    "X of another shape": ({"X": np.zeros((30, 2, 1024), np.float32)}, r"\(30, 2, 1024\)"),
    "Y flat": ({"Y": np.zeros(30, np.int64)}, r"\(30,\)"),
    "Z flat": ({"Z": np.zeros(30, np.int64)}, r"\(30,\)"),
    "Z of text": ({"Z": np.full((30, 1), b"6")}, "Z is"),
    "rows of another number": ({"Z": np.zeros((29, 1), np.int64)}, "30, 30, 29 rows"),
    "no rows": ({"X": np.zeros((0, 1024, 2), np.float32), "Y": np.zeros((0, 24)), "Z": np.zeros((0, 1))}, "0 rows"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_wrong_shapes_and_types_are_named(small, tmp_path, name):
    changes, words = DAMAGE[name]
    with pytest.raises(DatasetError, match=words):
        RadioMLFile(rewritten(small, tmp_path / "damaged.hdf5", **changes))


@pytest.mark.parametrize("keep", [0, 100, 3000, 0.3, 0.999])
def test_a_truncated_file_is_refused(small, tmp_path, keep):
    data = small.read_bytes()
    path = tmp_path / "short.hdf5"
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(DatasetError, match="cannot be opened as HDF5, or is truncated"):
        RadioMLFile(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        RadioMLFile(tmp_path / "absent.hdf5")


def test_frames_out_of_order_at_the_edges_of_cells_are_refused_on_opening(small, tmp_path):
    data = arrays(small)
    order = np.random.default_rng(0).permutation(30)
    with pytest.raises(DatasetError, match="out of order"):
        RadioMLFile(rewritten(small, tmp_path / "mixed.hdf5", Y=data["Y"][order], Z=data["Z"][order]))
    for row in (9, 10, 14, 29):
        labels = data["Y"].copy()
        labels[row] = np.eye(24, dtype=np.int64)[20]
        with pytest.raises(DatasetError, match="out of order"):
            RadioMLFile(rewritten(small, tmp_path / "edge.hdf5", Y=labels))


def test_a_wrong_label_inside_a_cell_is_refused_when_its_frame_is_read(small, tmp_path):
    snrs = arrays(small)["Z"]
    snrs[17] = 30
    file = RadioMLFile(rewritten(small, tmp_path / "inside.hdf5", Z=snrs))
    file.read(np.array([16, 18]))
    with pytest.raises(DatasetError, match=r"at 30 dB\n.*frame 17 \(32PSK, 6 dB, number 2 of its cell\)"):
        file.read(np.arange(30))


def test_cells_of_different_sizes_are_refused(small, tmp_path):
    data = arrays(small)
    with pytest.raises(DatasetError, match="whole cells"):
        RadioMLFile(rewritten(small, tmp_path / "cut.hdf5", **{name: array[:25] for name, array in data.items()}))
    keep = np.delete(np.arange(30), 12)
    with pytest.raises(DatasetError, match=r"out of order|whole cells"):
        RadioMLFile(rewritten(small, tmp_path / "cut.hdf5", **{name: array[keep] for name, array in data.items()}))


def test_groups_that_names_do_not_imply_come_back_from_the_file(tmp_path):
    classes = ClassSet(("2FSK", "QPSK"), ("FSK", "PSK"))
    path = tmp_path / "own.hdf5"
    with RadioMLWriter(path, 2, snrs_db=(4,), classes=classes) as writer:
        for label in range(2):
            writer.write_cell(label, 4, cell_frames(label, 4, 2))
    with RadioMLFile(path) as file:
        assert file.layout.classes == classes
    with h5py.File(path, "a") as raw:
        raw.attrs["group_of"] = ["FSK"]
    with pytest.raises(DatasetError, match="names 1 groups"), RadioMLFile(path) as file:
        len(file)
