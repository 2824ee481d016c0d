"""One signal out of a capture: the same samples whatever slices are read, and what a tone becomes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.classify.front_end.channel import Channel
from bacalhaunet.classify.front_end.measurement import change_point
from bacalhaunet.data.recordings.recording import recording_of

pytest.importorskip("scipy", reason="needs scipy")


def noise(count, seed=0):
    generator = np.random.default_rng(seed)
    return (generator.standard_normal((count, 2)) @ [1, 1j]).astype(np.complex64)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 2.0), st.floats(-0.5, 0.5), st.integers(0, 3000), st.integers(1, 2000))
def test_slices_are_parts_of_the_whole(rate, center, first, size):
    recording = recording_of(noise(6000))
    width = min(0.5, rate / 2)
    channel = Channel(recording, 500, 5500, center, width, 0.25 * width, rate)
    whole = channel.read(0, channel.count)
    stop = min(first + size, channel.count)
    first = min(first, stop)
    assert len(whole) == channel.count
    assert np.allclose(channel.read(first, stop), whole[first:stop], atol=2e-4)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.61, 1.0, 1.7, 2.0])
@pytest.mark.parametrize("offset", [0.0, 0.01, -0.015])
def test_a_tone_comes_out_at_its_offset_in_phase_and_at_its_level(rate, offset):
    center = 0.123
    tone = np.exp(2j * np.pi * (center + offset) * np.arange(20_000)).astype(np.complex64)
    channel = Channel(recording_of(tone), 2000, 18_000, center, 0.05, 0.02, rate)
    made = channel.read(100, channel.count - 100)
    time = np.arange(100, channel.count - 100) / float(channel.ratio)
    expected = np.exp(2j * np.pi * (offset * time + (center + offset) * 2000))
    assert float(channel.ratio) == pytest.approx(rate, rel=1e-4)
    assert np.allclose(made, expected, atol=6e-3)


@pytest.mark.parametrize("rate", [0.2, 0.9])
def test_what_lies_outside_the_band_is_60_db_down(rate):
    tone = np.exp(2j * np.pi * 0.2 * np.arange(20_000)).astype(np.complex64)
    channel = Channel(recording_of(tone), 0, 20_000, 0.0, 0.1, 0.05, rate)
    assert np.abs(channel.read(200, channel.count - 200)).max() < 2e-3


@given(st.integers(0, 400), st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_a_change_of_power_is_found_to_a_few_samples(place, seed):
    generator = np.random.default_rng(seed)
    power = generator.exponential(size=400) * np.where(np.arange(400) < place, 1.0, 20.0)
    assert abs(change_point(power, 1.0, 20.0) - place) <= 15
