"""Data sets of any classes and length: the same three parts from every kind, and no frame in two of them."""

import json

import h5py
import numpy as np
import pytest

from bacalhaunet.data.dataset import PARTS, open_dataset
from bacalhaunet.data.datasets import Arrays, RadioML, Recordings, Twin
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.errors import ConfigError, DatasetError
from bacalhaunet.radio.modulations import RADIOML
from tests.data.radioml_files import write

NAMES = ("chirp", "QPSK", "hop")
LENGTH = 96


def numbered(count: int, length: int = LENGTH) -> np.ndarray:
    """Frames of power about 1 that tell their number in their first sample."""
    frames = np.random.default_rng(3).normal(0, 0.7, (count, 2, length)).astype(np.float32)
    frames[:, 0, 0] = np.arange(count) / 100
    return frames


def noise(count: int) -> np.ndarray:
    pairs = np.random.default_rng(count).normal(0, 0.1, (count, 2))
    return (pairs @ [1, 1j]).astype(np.complex64)


def save_sigmf(path, samples, annotations) -> None:
    samples.astype("<c8").tofile(path.with_suffix(".sigmf-data"))
    marks = [{"core:sample_start": a, "core:sample_count": n, "core:label": name} for a, n, name in annotations]
    fields = {"core:datatype": "cf32_le", "core:version": "1.0.0", "core:sample_rate": 1e6}
    text = {"global": fields, "captures": [{"core:sample_start": 0}], "annotations": marks}
    path.with_suffix(".sigmf-meta").write_text(json.dumps(text))


@pytest.fixture
def folders(tmp_path):
    for name in NAMES:
        (tmp_path / "classes" / name).mkdir(parents=True)
        for take in range(2):
            noise(LENGTH * 30 + take).astype("<c8").tofile(tmp_path / "classes" / name / f"{take}.cf32")
    return tmp_path / "classes"


@pytest.fixture
def labelled(tmp_path):
    (tmp_path / "sigmf").mkdir()
    size = 25 * LENGTH
    save_sigmf(tmp_path / "sigmf" / "a", noise(4 * size), [(k * size, size, name) for k, name in enumerate(NAMES)])
    return tmp_path / "sigmf"


def opened(kind: str, tmp_path, folders, labelled):
    if kind == "folders":
        return open_dataset(folders, frame_length=LENGTH)
    if kind == "sigmf":
        return open_dataset(labelled, frame_length=LENGTH)
    labels = np.arange(300) % 3
    np.savez(tmp_path / "data.npz", frames=numbered(300), labels=labels, names=NAMES, snr=labels * 2.0)
    return open_dataset(tmp_path / "data.npz")


@pytest.mark.parametrize("kind", ["npz", "folders", "sigmf"])
def test_every_kind_has_its_own_classes_and_three_parts_without_a_common_frame(kind, tmp_path, folders, labelled):
    data = opened(kind, tmp_path, folders, labelled)
    assert set(data.classes.names) == set(NAMES)
    assert data.frame_length == LENGTH
    parts = [data.train, data.validation, data.test]
    rows = np.concatenate([part.rows for part in parts])
    assert len(set(rows.tolist())) == len(rows)
    for part in parts:
        assert set(part.labels.tolist()) == {0, 1, 2}
        assert part.read(np.array([0])).shape == (1, 2, LENGTH)
    assert len(data.train) > 3 * len(data.test) > 0
    assert len(data.part("all")) == len(rows)


@pytest.mark.parametrize("kind", ["npz", "folders", "sigmf"])
def test_a_split_is_the_same_every_time(kind, tmp_path, folders, labelled):
    first, second = (opened(kind, tmp_path, folders, labelled) for _ in range(2))
    for part in PARTS:
        assert np.array_equal(first.part(part).rows, second.part(part).rows)


def test_frames_and_labels_belong_together():
    data = Arrays(numbered(300), np.array([NAMES[k] for k in np.arange(300) % 3]), snr=np.arange(300) % 3 * 10)
    assert data.classes.names == tuple(sorted(NAMES))
    assert data.classes.group_of == ("PSK", "chirp", "hop")
    for part in (data.train, data.validation, data.test):
        for batch in part.batches(7):
            numbers = np.rint(batch.frames[:, 0, 0] * 100).astype(int)
            assert [data.classes.names[label] for label in batch.labels] == [NAMES[k % 3] for k in numbers]
            assert np.array_equal(batch.snr_db, numbers % 3 * 10)


def test_arrays_of_another_scale_are_brought_to_power_one():
    data = Arrays(numbered(60) * 1000, np.arange(60) % 2, ["a", "b"])
    power = 2 * np.mean(data.train.read(np.arange(len(data.train))) ** 2, axis=(1, 2))
    assert np.allclose(power, 1, atol=0.1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"labels": np.full(60, 2)}, "0 to 1"),
        ({"names": None}, "names"),
        ({"frames": numbered(60)[:, :1]}, "float32"),
        ({"labels": np.r_[np.zeros(58, int), 1, 1]}, "b has 2 frames"),
        ({"snr": np.full(60, np.nan)}, "finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, named):
    good = {"frames": numbered(60), "labels": np.arange(60) % 2, "names": ["a", "b"], "snr": None}
    with pytest.raises(DatasetError, match=named):
        Arrays(**{**good, **changes})


def test_recordings_of_one_class_are_divided_by_stretches_with_a_gap_between_parts(folders):
    data = Recordings(folders, frame_length=LENGTH)
    part_of = {row: k for k, part in enumerate((data.train, data.validation, data.test)) for row in part.rows.tolist()}
    same_recording = [(a, a + 1) for a in range(6 * 30 - 1) if a // 30 == (a + 1) // 30]
    for a, b in same_recording:
        if a in part_of and b in part_of:
            assert part_of[a] == part_of[b]


def test_whole_recordings_are_kept_together_where_there_are_many(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for take in range(20):
            np.save(tmp_path / name / f"{take:02d}.npy", noise(LENGTH * 4))
    data = Recordings(tmp_path, frame_length=LENGTH)
    for part in (data.train, data.validation, data.test):
        assert all((part.rows // 4 == owner).sum() == 4 for owner in set((part.rows // 4).tolist()))
    assert len(data.test) == 2 * 2 * 4


def test_frames_tell_the_signal_they_were_cut_from(folders):
    data = Recordings(folders, frame_length=LENGTH)
    for part in (data.train, data.test, data.part("all")):
        assert np.array_equal(part.signals, part.rows // 30)
    assert np.array_equal(data.test.take(slice(3)).signals, data.test.signals[:3])


def test_annotations_that_overlap_are_refused(tmp_path):
    save_sigmf(tmp_path / "a", noise(100 * LENGTH), [(0, 50 * LENGTH, "x"), (49 * LENGTH, 50 * LENGTH, "y")])
    with pytest.raises(DatasetError, match="at the same time"):
        Recordings(tmp_path, frame_length=LENGTH)


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="core:label"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="no such data"):
        open_dataset(tmp_path / "absent.npz")


def test_a_radioml_file_keeps_its_split_and_its_labels(tmp_path):
    path = write(tmp_path / "data.hdf5", 20, (0, 3, 5), (-10, 8))
    data, file = RadioML(path), RadioMLFile(path)
    split = radioml_split(file.layout)
    assert data.classes == RADIOML
    assert np.array_equal(data.train.rows, split.train)
    assert np.array_equal(data.test.rows, np.sort(split.test))
    batch = next(data.test.batches())
    whole = file.read(np.sort(split.test))
    assert np.array_equal(batch.frames, whole.frames)
    assert np.array_equal(batch.labels, whole.labels)
    assert np.array_equal(batch.snr_db, whole.snrs_db)
    assert set(data.test.select(snr_min_db=0, names=["BPSK"]).labels.tolist()) == {3}


@pytest.mark.parametrize("as_attribute", [True, False])
def test_a_radioml_file_may_have_other_classes_and_another_length(tmp_path, as_attribute):
    path, labels = tmp_path / "own.h5", np.repeat([0, 1, 2], 40)
    with h5py.File(path, "w") as file:
        file["X"] = numbered(120).transpose(0, 2, 1)
        file["Y"] = np.eye(3, dtype=np.int64)[labels]
        file["Z"] = np.tile(np.repeat([0, 10], 20), 3)[:, None]
        if as_attribute:
            file.attrs["names"] = list(NAMES)
        else:
            file["names"] = list(NAMES)
    data = open_dataset(path)
    assert data.classes.names == NAMES
    assert data.frame_length == LENGTH
    numbers = np.rint(data.test.read(slice(None))[:, 0, 0] * 100).astype(int)
    assert np.array_equal(data.test.labels, labels[numbers])


def test_generated_parts_are_balanced_and_of_seeds_of_their_own():
    data = Twin(train_frames_per_cell=2, validation_frames_per_cell=1, test_frames_per_cell=1)
    assert data.classes == RADIOML
    assert len(data.validation) == 24 * 26
    few = [part.take(slice(4)).read(slice(None)) for part in (data.train, data.validation, data.test)]
    assert not np.array_equal(few[1], few[2])
    with pytest.raises(ConfigError, match="seed"):
        Twin(seed=2_147_483_647)
