"""The prescribed split: its published hashes, and that its parts never overlap."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.data.dataset import PARTS
from bacalhaunet.data.layout import CellLayout, radioml_split
from bacalhaunet.errors import ConfigError

TEST_SHA256 = "874296601fa7d746fa485104fd5d9efe43c16fa67c6a675b3a78f5bf2e65dc1f"
TRAIN_SHA256 = "62f205627cb26a9739bfa0ff006c92139650a6cf83457792839dd922da0981cb"


def sha256(indices):
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()


@pytest.fixture(scope="module")
def original():
    return radioml_split(4096)


def test_original_file_has_the_prescribed_test_and_train_indices(original):
    assert sha256(original.test) == TEST_SHA256
    assert sha256(original.official_train) == TRAIN_SHA256


def test_validation_is_the_end_of_each_cells_train_list(original):
    cells = original.official_train.reshape(24 * 26, 3686)
    assert np.array_equal(original.validation.reshape(24 * 26, -1), cells[:, -185:])
    assert np.array_equal(original.train.reshape(24 * 26, -1), cells[:, :-185])


def test_another_seed_is_another_split(original):
    assert sha256(radioml_split(4096, seed=1).test) != TEST_SHA256


layouts = st.builds(
    CellLayout,
    st.integers(1, 60),
    st.lists(st.integers(0, 23), min_size=1, max_size=5, unique=True).map(tuple),
    st.lists(st.integers(-10, 15).map(lambda n: 2 * n), min_size=1, max_size=5, unique=True).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(layouts, st.integers(-22, 32), st.sets(st.integers(0, 23)))
def test_parts_never_overlap_and_cover_the_file_also_when_filtered(layout, snr_min_db, labels):
    split = radioml_split(layout)
    parts = [split.train, split.validation, split.test]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(layout)))
    assert np.array_equal(split.part("all"), np.arange(len(layout)))
    chosen = [layout.select(part, snr_min_db=snr_min_db, labels=labels) for part in parts]
    together = np.concatenate(chosen)
    assert len(np.unique(together)) == len(together)
    for part, filtered in zip(parts, chosen, strict=True):
        expected = {
            int(index)
            for index in part
            if layout.snrs_of(np.array([index]))[0] >= snr_min_db and layout.labels_of(np.array([index]))[0] in labels
        }
        assert set(filtered.tolist()) == expected


@settings(max_examples=60, deadline=None)
@given(layouts)
def test_every_cell_gives_a_tenth_to_test_and_keeps_a_train_frame(layout):
    split, count = radioml_split(layout), layout.frames_per_cell
    cells = {name: np.bincount(split.part(name) // count, minlength=layout.cell_count) for name in PARTS}
    assert (cells["test"] == -(-count // 10)).all()
    assert (cells["train"] + cells["validation"] == count - cells["test"]).all()
    assert (cells["train"] >= (1 if count > 1 else 0)).all()
    if count > 2:
        assert (cells["validation"] >= 1).all()


def test_an_unknown_part_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"'dev'.*\n.*train"):
        radioml_split(10).part("dev")  # type: ignore[arg-type]
