import numpy as np
import pytest

pytest.importorskip("h5py")

from bacalhaunet.classify.evaluation_data import Selection, batches
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES
from tests.classify.small_file import write_small_file


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_small_file(tmp_path_factory.mktemp("data") / "small.hdf5", frames_per_cell=20)


@pytest.mark.parametrize("part", ["all", "train", "validation", "test"])
def test_a_part_is_the_prescribed_one_read_in_the_order_of_the_file(path, part):
    with RadioMLFile(path) as file:
        chosen = Selection(part).indices(file)
        assert np.array_equal(chosen, np.sort(radioml_split(file.layout).part(part)))


def test_filters_keep_exactly_the_frames_they_name(path):
    with RadioMLFile(path) as file:
        chosen = Selection("all", snr_min=-4, snr_max=10, modulations=("BPSK", "FM")).indices(file)
        frames = file.read(chosen)
        assert len(chosen) == 2 * 8 * 20
        assert set(frames.labels) == {NAMES.index("BPSK"), NAMES.index("FM")}
        assert (frames.snrs_db.min(), frames.snrs_db.max()) == (-4, 10)


def test_batches_are_the_whole_selection_once(path):
    with RadioMLFile(path) as file:
        chosen = Selection("test").indices(file)
        parts = list(batches(file, chosen, size=100))
        assert [len(part.labels) for part in parts[:-1]] == [100] * (len(parts) - 1)
        assert np.array_equal(np.concatenate([part.frames for part in parts]), file.read(chosen).frames)


def test_a_selection_that_leaves_nothing_and_a_wrong_name_say_what_there_is(path):
    with RadioMLFile(path) as file, pytest.raises(ConfigError, match="-20 to 30 dB"):
        Selection("test", snr_min=40).indices(file)
    with pytest.raises(ConfigError, match="BPSK, QPSK"):
        Selection("test", modulations=("bpsk",))
