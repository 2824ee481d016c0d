import h5py
import pytest

from bacalhaunet.cli.main import main
from bacalhaunet.data.generated import TEST_SEED
from bacalhaunet.errors import ConfigError, DatasetError
from bacalhaunet.report.card import command, described, in_words, write_recipe


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.hdf5"
    assert main(["twin", "make", str(path), "--frames-per-cell", "1", "--seed", "5"]) == 0
    return path


def test_a_generated_file_says_how_it_is_made_again(file, tmp_path):
    found = described({"data": {"file": str(file), "profile": "twin"}}, tmp_path)
    assert found == {"profile": "twin", "file": "small.hdf5", "frames_per_cell": 1, "seed": 5, "settings": {}}
    assert in_words(found) == "small.hdf5, 1 frames of each modulation at each SNR of the twin profile, seed 5"
    recipe = [
        {"command": "train", "config": {"network": "x", "data": {"file": str(file)}}, "model": "m", "data": found}
    ]
    script = write_recipe(recipe * 2, tmp_path).read_text()
    make = "[ -f small.hdf5 ] || bacalhaunet twin make small.hdf5 --frames-per-cell 1 --seed 5 --profile twin"
    assert script.count(make) == 1
    assert script.index(make) < script.index("bacalhaunet train")
    assert "file: small.hdf5" in (tmp_path / "2-train.yaml").read_text()


def test_a_file_of_other_origin_is_named_and_not_made_again(file, tmp_path):
    other = tmp_path / "GOLD.hdf5"
    other.write_bytes(file.read_bytes())
    with h5py.File(other, "a") as opened:
        for name in list(opened.attrs):
            del opened.attrs[name]
    found = described({"data": {"file": str(other), "profile": "twin"}}, tmp_path)
    assert found == {"profile": "file", "file": "GOLD.hdf5", "frames_per_cell": 1}
    assert command(found) is None


def test_a_network_trained_on_test_frames_is_refused(file, tmp_path):
    other = tmp_path / "test.hdf5"
    other.write_bytes(file.read_bytes())
    with h5py.File(other, "a") as opened:
        opened.attrs["seed"] = TEST_SEED
    with pytest.raises(ConfigError, match="seed 2147483647"):
        described({"data": {"file": str(other), "profile": "twin"}}, tmp_path)
    with pytest.raises(DatasetError, match="missing"):
        described({"data": {"file": str(tmp_path / "none.hdf5"), "profile": "twin"}}, tmp_path)
