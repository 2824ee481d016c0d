"""The frames of a run from a file: how many of them make an epoch, and a validation."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.saved import save_model
from bacalhaunet.radio.modulations import RADIOML, SNRS_DB
from bacalhaunet.training.config import DataConfig, TrainConfig
from bacalhaunet.training.run import fresh_network, start_network
from bacalhaunet.training.run_data import training_data
from tests.data.radioml_files import write

CELLS = 2 * len(SNRS_DB)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """60 frames a cell of two classes: 6 test, 51 training, 3 validation."""
    return write(tmp_path_factory.mktemp("radioml") / "small.hdf5", count=60, labels=(3, 4))


def data_of(file, **settings):
    return training_data(TrainConfig(batch_size=32, data=DataConfig(file=file, snr_min_db=-20, **settings)))


def test_an_epoch_is_the_whole_train_part_or_what_is_asked(file):
    assert data_of(file).batches_per_epoch == CELLS * 51 // 32
    assert data_of(file, frames_per_epoch=200).batches_per_epoch == 200 // 32


def test_short_epochs_go_on_through_the_file(file):
    short, whole = data_of(file, frames_per_epoch=64), data_of(file)
    for number in (0, 5):
        assert torch.equal(short.source.batch(number).frames, whole.source.batch(number).frames)


def test_validation_takes_as_many_of_each_cell_as_asked(file):
    whole, two = (
        [
            (int(label), float(snr))
            for batch in data_of(file, **asked).validation
            for label, snr in zip(batch.labels, batch.snrs_db, strict=True)
        ]
        for asked in ({}, {"validation_frames_per_cell": 2})
    )
    assert len(whole) == CELLS * 3
    assert len(two) == CELLS * 2
    assert all(two.count(cell) == 2 for cell in set(whole))


def test_a_file_without_validation_frames_is_refused(tmp_path):
    two = write(tmp_path / "two.hdf5", count=2, labels=(3, 4))
    with pytest.raises(ConfigError, match="has 104 frames and none of them for validation"):
        data_of(two)


def test_a_network_for_frames_of_another_length_is_refused(file):
    spec = file.parent / "short.yaml"
    spec.write_text(replace(find_spec("bacalhaunet"), frame_length=512).to_yaml())
    with pytest.raises(ConfigError, match="takes frames of 512 samples"):
        start_network(TrainConfig(network=str(spec)), data_of(file))


def test_validation_asks_for_no_more_than_there_is(file):
    assert sum(len(batch.labels) for batch in data_of(file, validation_frames_per_cell=99).validation) == CELLS * 3


def test_a_file_of_some_classes_keeps_their_numbers_among_all(file):
    data = data_of(file)
    assert data.classes == RADIOML
    assert set(data.source.batch(0).labels.tolist()) == {3, 4}


def test_a_saved_model_of_other_classes_is_refused(file, tmp_path):
    spec = find_spec("prototype")
    save_model(tmp_path / "model.safetensors", fresh_network(spec, 1), spec, RADIOML.names[::-1])
    with pytest.raises(ConfigError, match="in their order"):
        start_network(TrainConfig(network=str(tmp_path / "model.safetensors")), data_of(file))


def test_recordings_are_cut_to_the_frames_of_the_network_that_goes_on(tmp_path):
    spec = replace(find_spec("prototype"), classes=2, frame_length=96)
    save_model(tmp_path / "model.safetensors", fresh_network(spec, 1), spec, ["a", "b"])
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        np.ones(96 * 60, np.complex64).tofile(tmp_path / "data" / name / "one.cf32")
    config = TrainConfig(
        network=str(tmp_path / "model.safetensors"), data=DataConfig(file=tmp_path / "data"), batch_size=8
    )
    data = training_data(config)
    assert (data.frame_length, data.classes.names) == (96, ("a", "b"))
    assert start_network(config, data)[0] == spec
