"""Measurements on a file whose classes are in an order of their own, and the frames engines are compared on."""

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("qonnx", reason="needs qonnx")

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.data.radioml_writer import RadioMLWriter
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.radio.profiles import make_source
from bacalhaunet_paper.frames import require_cells
from bacalhaunet_paper.measure import measure, sample_frames

LABELS = tuple(NAMES.index(name) for name in ("GMSK", "FM", "QPSK", "OOK"))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Frames of the twin, 40 of each of four classes in descending order at 10 and 20 dB."""
    import torch

    path, source = tmp_path_factory.mktemp("data") / "some.hdf5", make_source("twin")
    with RadioMLWriter(path, 40, labels=LABELS, snrs_db=(10, 20)) as writer:
        for label, snr in writer.missing_cells():
            rows = torch.full((40,), label), torch.full((40,), float(snr)), torch.arange(40)
            writer.write_cell(label, snr, source.frames(*rows, seed=3).numpy())
    return path


def test_labels_are_class_numbers_whatever_the_order_of_the_file(file, tmp_path):
    model = shipped_networks()["lite"].model
    found = measure(model, file, tmp_path)
    with RadioMLFile(file) as opened:
        batch = opened.read(np.sort(radioml_split(opened.layout).test))
    right = open_engine(model).logits(batch.frames).argmax(axis=1) == batch.labels
    assert right.mean() > 0.5
    assert (found["accuracy"], found["frames"]) == (right.mean(), len(right))


def test_frames_to_compare_engines_on_are_spread_over_all_cells(file):
    with RadioMLFile(file) as opened:
        split = radioml_split(opened.layout)
        places = {row.tobytes(): n for n, row in enumerate(opened.read(np.arange(len(opened))).frames)}
    for count in (8, 16, 60):
        numbers = [places[frame.tobytes()] for frame in sample_frames(file, count)]
        cells = Counter(number // 40 for number in numbers)
        assert len(cells) == 8
        assert max(cells.values()) <= -(-count // 8) + 1
        assert set(numbers) <= {*split.validation.tolist(), *split.train.tolist()}


def test_a_file_without_what_is_needed_is_refused_with_its_name(file):
    require_cells(file, LABELS, (10, 20))
    with pytest.raises(ConfigError, match=r"some.hdf5 has no frames of BPSK, -20 dB"):
        require_cells(file, [NAMES.index("OOK"), NAMES.index("BPSK")], (20, -20))
