"""Files of generated frames: contents, resumption, and the same bytes for any number of workers."""

import numpy as np
import pytest
import torch

from bacalhaunet.data import generate
from bacalhaunet.data.generate import Generation, generate_file
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.twin import Twin


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("twin") / "twin.hdf5"
    return generate_file(path, Generation(2, seed=5), workers=1)


def test_the_file_holds_the_frames_of_the_stream(made):
    with RadioMLFile(made) as file:
        assert file.frames_per_cell == 2
        rows = np.array([0, 1, 2 * 26 * 7 + 31, len(file) - 1])
        frames, labels, snrs = file.read(rows)
    index = torch.from_numpy(rows % 2)
    expected = Twin().frames(torch.from_numpy(labels), torch.from_numpy(snrs), index, seed=5)
    assert np.array_equal(frames, expected.numpy())


def test_workers_do_not_change_a_byte(made, tmp_path, monkeypatch):
    monkeypatch.setattr(
        generate, "_chunks", lambda cells, count: [cells[i : i + 100] for i in range(0, len(cells), 100)]
    )
    other = generate_file(tmp_path / "other.hdf5", Generation(2, seed=5), workers=2)
    assert other.read_bytes() == made.read_bytes()


def test_an_interrupted_file_is_hidden_and_gone_on_with(made, tmp_path, monkeypatch):
    monkeypatch.setattr(
        generate, "_chunks", lambda cells, count: [cells[i : i + 100] for i in range(0, len(cells), 100)]
    )
    path, calls = tmp_path / "later.hdf5", []

    def stop(done, total):
        calls.append(done)
        if done >= 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_file(path, Generation(2, seed=5), workers=1, progress=stop)
    assert not path.exists()
    seen = []
    generate_file(path, Generation(2, seed=5), workers=1, progress=lambda done, total: seen.append(done))
    assert seen[0] == 200
    assert path.read_bytes() == made.read_bytes()


def test_seed_profile_and_settings_change_the_frames(made, tmp_path):
    other = generate_file(tmp_path / "other.hdf5", Generation(1, settings={"roll_off": 0.3}), workers=1)
    with RadioMLFile(made) as a, RadioMLFile(other) as b:
        assert not np.array_equal(a.read(np.array([0]))[0], b.read(np.array([0]))[0])


@pytest.mark.parametrize(
    ("generation", "workers"),
    [
        (Generation(1, profile="moon"), 1),
        (Generation(1, settings={"roll_off": 7}), 1),
        (Generation(0), 1),
        (Generation(1), 0),
    ],
)
def test_unusable_settings_leave_nothing_behind(generation, workers, tmp_path):
    with pytest.raises(ConfigError):
        generate_file(tmp_path / "x.hdf5", generation, workers=workers)
    assert list(tmp_path.iterdir()) == []
