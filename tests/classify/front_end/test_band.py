"""A recording looks like a capture where its band holds other than one centred signal, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from bacalhaunet.classify.front_end.band import capture_hint
from bacalhaunet.data.recordings.recording import recording_of
from bacalhaunet.radio.modulations import NAMES, by_name
from tests.classify.front_end.captures import linear_signal

RATE, COUNT = 1e6, 40_000


def known(samples, rate=RATE):
    return replace(recording_of(samples.astype(np.complex64)), sample_rate=rate)


def noise(level=0.1):
    return np.random.default_rng(1).standard_normal((COUNT, 2)) @ [level, 1j * level]


def signal(center, period=8.0):
    turn = np.exp(2j * np.pi * center * np.arange(COUNT))
    return linear_signal("QPSK", COUNT, period, 0.35, np.random.default_rng(2)) * turn


@pytest.mark.parametrize("center", [-0.3, 0.1, 0.25])
def test_a_signal_beside_the_middle_is_said_with_its_place(center):
    hint = capture_hint(known(signal(center) + noise()))
    assert hint is not None
    place = float(hint.rsplit("lies ", 1)[1].split(" Hz")[0])
    assert place == pytest.approx(center * RATE, abs=0.02 * RATE)


def test_several_signals_are_counted():
    hint = capture_hint(known(signal(0.0, 12.0) + signal(-0.3, 12.0) + signal(0.3, 12.0) + noise()))
    assert hint is not None
    assert "3 parts" in hint


@pytest.mark.parametrize("samples", [noise(), np.zeros(COUNT), signal(0.0) + noise(), signal(0.0, 2.0) + noise()])
def test_a_centred_signal_of_any_width_noise_and_silence_are_no_capture(samples):
    assert capture_hint(known(samples)) is None


def test_without_a_sample_rate_and_in_a_moment_nothing_is_said():
    assert capture_hint(known(signal(0.3) + noise(), None)) is None
    assert capture_hint(known((signal(0.3) + noise())[:1000])) is None


@pytest.mark.parametrize("name", NAMES)
def test_signals_as_the_networks_know_them_are_no_capture(name):
    torch = pytest.importorskip("torch", reason="needs torch")
    from bacalhaunet.radio.twin import Twin

    for snr in (4, 10, 30):
        labels = torch.tensor([by_name(name).label] * 8)
        frames = Twin().frames(labels, torch.full((8,), snr), torch.arange(8), seed=1).numpy()
        assert capture_hint(known((frames[:, 0] + 1j * frames[:, 1]).reshape(-1))) is None
