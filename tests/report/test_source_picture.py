"""The receiver behind the picture of all classes."""

import numpy as np
import pytest
import torch

from bacalhaunet.radio.constellations import constellation
from bacalhaunet.radio.modulations import by_name
from bacalhaunet.radio.twin import Twin
from bacalhaunet.report.source_picture import ideal_symbols, upright


@pytest.mark.parametrize("name", ["OOK", "8ASK", "BPSK", "8PSK", "16APSK", "16QAM", "64QAM"])
def test_frames_are_received_onto_their_constellation(name):
    index, points = torch.arange(3), constellation(name)
    labels = torch.full_like(index, by_name(name).label)
    frames = Twin().frames(labels, torch.full((3,), 30.0), index, seed=4).numpy()
    gap = np.abs(points[:, None] - points[None, :])[~np.eye(len(points), dtype=bool)].min()
    for frame in frames[:, 0] + 1j * frames[:, 1]:
        found = upright(ideal_symbols(frame), points)
        assert np.median(np.abs(found[:, None] - points[None, :]).min(1)) < 0.12 * gap
