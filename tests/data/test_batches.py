"""Batches: a pure function of (seed, number), balanced, never repeating, the same with any number of workers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.data.batches import BatchStream, FrameBatches, GeneratedBatches, read_batch
from bacalhaunet.data.datasets import RadioML
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import SNRS_DB
from tests.data.radioml_files import write


class NamedFrames:
    """A source whose frames say what was asked of it."""

    def frames(self, modulation, snr_db, index, *, seed):
        rows = torch.stack([modulation.float(), snr_db.float(), index.float(), torch.full_like(snr_db, seed)], 1)
        return rows[:, None, :].expand(-1, 2, -1).contiguous()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return RadioML(write(tmp_path_factory.mktemp("data") / "data.hdf5", 20, (0, 3, 5), (-10, -6, 0, 8))).part("all")


@pytest.mark.parametrize("together", [1, 3])
def test_the_parts_of_split_batches_are_the_whole_ones(together):
    whole = GeneratedBatches(NamedFrames(), 60, seed=5, together=together)
    parts = whole.split(3)
    for number in (0, 4):
        rows = torch.cat([parts.batch(3 * number + part).frames for part in range(3)])
        assert torch.equal(rows, whole.batch(number).frames)


def test_a_batch_is_the_same_whenever_and_wherever_it_is_asked_for():
    first = GeneratedBatches(NamedFrames(), 100, seed=5)
    again = GeneratedBatches(NamedFrames(), 100, seed=5)
    later = again.batch(7)
    for number in range(8):
        batch = first.batch(number)
    assert all(torch.equal(one, other) for one, other in zip(batch[:3], later[:3], strict=True))
    assert not torch.equal(later.frames, GeneratedBatches(NamedFrames(), 100, seed=6).batch(7).frames)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(0, 2**31 - 1), st.integers(1, 24), st.integers(1, 26))
def test_generated_frames_never_repeat_and_every_round_holds_each_cell_once(size, seed, classes, levels):
    batches = GeneratedBatches(NamedFrames(), size, seed=seed, labels=range(classes), snrs_db=SNRS_DB[-levels:])
    parts = [np.stack(batches.contents(number), axis=1) for number in range(5)]
    assert all(len(part) == size for part in parts)
    rows = np.concatenate(parts)
    assert len(np.unique(rows, axis=0)) == len(rows)
    cells = classes * levels
    for start in range(0, len(rows) - cells + 1, cells):
        assert len(np.unique(rows[start : start + cells, :2], axis=0)) == cells
        assert (rows[start : start + cells, 2] == start // cells).all()


def test_a_generated_batch_carries_what_its_frames_are():
    batch = GeneratedBatches(NamedFrames(), 64, seed=9, snrs_db=(-6, 30)).batch(3)
    assert torch.equal(batch.frames[:, 0, 0], batch.labels.float())
    assert torch.equal(batch.frames[:, 1, 1], batch.snrs_db)
    assert (batch.frames[:, 0, 3] == 9).all()
    assert (batch.labels.dtype, batch.snrs_db.dtype) == (torch.int64, torch.float32)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_come_in_the_same_order_from_any_number_of_workers(file, workers):
    generated = GeneratedBatches(NamedFrames(), 32, seed=2)
    stored = FrameBatches(file, 50, seed=2)
    for source in (generated, stored):
        expected = [source.batch(number) for number in range(4, 11)]
        loaded = list(BatchStream(source, 11, start=4).loader(workers))
        assert len(loaded) == len(expected)
        for one, other in zip(loaded, expected, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))


def test_an_epoch_of_a_file_gives_each_frame_once_in_a_new_order(file):
    batches = FrameBatches(file, 60, seed=1)
    assert batches.batches_per_epoch == 4
    epochs = [np.concatenate([batches.contents(4 * epoch + number) for number in range(4)]) for epoch in range(2)]
    assert all(np.array_equal(np.sort(epoch), np.arange(240)) for epoch in epochs)
    assert not np.array_equal(*epochs)


def test_frames_of_a_file_come_with_their_own_labels(file):
    batch = FrameBatches(file, 240, seed=1).batch(0)
    assert torch.equal(batch.frames[:, 0, 0], batch.labels.float())
    assert torch.equal(batch.frames[:, 1, 0], batch.snrs_db)


def test_frames_of_a_file_tell_their_numbers_and_a_part_keeps_them(file):
    batch = FrameBatches(file, 240, seed=1).batch(0)
    again = read_batch(file, batch.rows.numpy())
    assert torch.equal(again.frames, batch.frames)
    part = batch.part(slice(3, 7))
    assert torch.equal(part.rows, batch.rows[3:7])
    assert torch.equal(part.frames, batch.frames[3:7])


def test_batches_that_cannot_be_are_refused(file):
    for size in (0, 241):
        with pytest.raises(ConfigError, match="frames from 240 frames"):
            FrameBatches(file, size, seed=1)
    with pytest.raises(ConfigError, match="0 classes"):
        GeneratedBatches(NamedFrames(), 10, seed=1, labels=())


def test_batches_made_together_are_those_made_one_by_one():
    alone, together = (GeneratedBatches(NamedFrames(), 50, seed=5, together=count) for count in (1, 3))
    for number in (0, 1, 2, 3, 7, 4):
        for one, other in zip(alone.batch(number), together.batch(number), strict=True):
            assert one is other is None or torch.equal(one, other)
