"""Blind detection on captures: what is found, where, at what symbol rate; noise is no signal."""

import numpy as np
import pytest

from bacalhaunet.classify.front_end.signals import FrontEndSettings, channel_of, find_signals, signal_at
from bacalhaunet.data.recordings.recording import Capture, Recording, recording_of
from bacalhaunet.data.recordings.stores import InMemory
from bacalhaunet.errors import ConfigError
from tests.classify.front_end.captures import capture, linear_signal, matched

pytest.importorskip("scipy", reason="needs scipy")

CAPTURES = 14


@pytest.fixture(scope="module")
def outcomes():
    made = [capture(np.random.default_rng([7, number]), length=1 << 17, signals=4) for number in range(CAPTURES)]
    return [(find_signals(recording_of(samples)), truths) for samples, truths in made]


@pytest.fixture(scope="module")
def pairs(outcomes):
    return [pair for found, truths in outcomes for pair in matched(found, truths)]


def noise(count, seed=0):
    generator = np.random.default_rng(seed)
    return (generator.standard_normal((count, 2)) @ [1, 1j]).astype(np.complex64)


def share(values):
    return np.mean(list(values))


def test_at_least_95_percent_of_the_signals_are_found_and_at_most_5_percent_are_false(outcomes, pairs):
    there = sum(len(truths) for _, truths in outcomes)
    said = sum(len(found) for found, _ in outcomes)
    assert there >= 3 * CAPTURES
    assert len(pairs) >= 0.95 * there
    assert said - len(pairs) <= 0.05 * said


def test_the_centre_is_within_2_percent_of_the_bandwidth(pairs):
    assert share(abs(one.center - true.center) < 0.02 * true.bandwidth for one, true in pairs) >= 0.98


def test_the_symbol_rate_is_within_1_percent(pairs):
    assert share(abs((one.symbol_rate or 0) / true.symbol_rate - 1) < 0.01 for one, true in pairs) >= 0.97


def test_bursts_begin_and_end_within_five_symbols(pairs):
    ends = [(one.start - true.start, one.stop - true.stop, true.symbol_rate) for one, true in pairs]
    assert share(max(abs(first), abs(last)) * rate < 5 for first, last, rate in ends) >= 0.95


def test_the_snr_in_the_band_is_told_within_2_db(pairs):
    assert share(abs(one.snr_db - true.snr_db) < 2 for one, true in pairs) >= 0.9


@pytest.mark.parametrize("count", [1, 100, 1152, 1500, 40_000, 300_000])
@pytest.mark.parametrize("level", [1e-3, 1e3])
def test_noise_alone_is_no_signal(count, level):
    for seed in range(3):
        assert find_signals(recording_of(noise(count, seed) * np.float32(level))) == []


def test_zeros_are_no_signal():
    assert find_signals(recording_of(np.zeros(50_000, np.complex64))) == []


def test_scale_changes_nothing():
    samples, _ = capture(np.random.default_rng(3))
    one = find_signals(recording_of(samples))
    other = find_signals(recording_of(samples * np.float32(1024)))
    assert [(a.start, a.stop) for a in one] == [(a.start, a.stop) for a in other]
    assert np.allclose([a.center for a in one], [a.center for a in other], atol=1e-7)


def test_a_signal_on_the_air_all_the_time_is_found():
    generator = np.random.default_rng(5)
    turn = np.exp(2j * np.pi * 0.1 * np.arange(100_000))
    samples = (noise(100_000) * 0.3 + linear_signal("QPSK", 100_000, 6.0, 0.35, generator) * turn).astype(np.complex64)
    (found,) = find_signals(recording_of(samples))
    assert (found.start, found.stop) == (pytest.approx(0, abs=30), pytest.approx(100_000, abs=1100))
    assert found.center == pytest.approx(0.1, abs=1e-4)
    assert found.symbol_rate == pytest.approx(1 / 6, rel=1e-3)
    assert found.center_from == "power 4"


def test_stretches_of_other_receiver_settings_are_looked_at_one_by_one():
    generator = np.random.default_rng(6)
    samples = noise(160_000) * np.float32(0.3)
    samples[20_000:140_000] += linear_signal("QPSK", 120_000, 8.0, 0.35, generator).astype(np.complex64)
    recording = Recording(recording_of(samples).path, InMemory(samples), 1e6, (Capture(0, 1e8), Capture(80_000, 2e8)))
    assert len(find_signals(recording)) == 2
    assert len(find_signals(recording_of(samples))) == 1


def test_what_is_set_by_hand_is_used_as_it_is():
    samples, _ = capture(np.random.default_rng(3))
    recording = recording_of(samples)
    signal = signal_at(recording, 0.21, FrontEndSettings(bandwidth=0.1, symbol_rate=0.07))
    assert (signal.center, signal.bandwidth, signal.symbol_rate) == (0.21, 0.1, 0.07)
    assert (signal.start, signal.stop) == (0, len(samples))
    found = find_signals(recording, FrontEndSettings(symbol_rate=0.07))
    assert {one.symbol_rate for one in found} == {0.07}
    assert {one.symbol_rate_from for one in found} == {"hand"}


def test_the_symbol_rate_is_estimated_where_only_the_centre_and_bandwidth_are_set():
    generator = np.random.default_rng(8)
    turn = np.exp(2j * np.pi * -0.2 * np.arange(60_000))
    samples = (noise(60_000) * 0.2 + linear_signal("16QAM", 60_000, 10.0, 0.35, generator) * turn).astype(np.complex64)
    signal = signal_at(recording_of(samples), -0.2, FrontEndSettings(bandwidth=0.14))
    assert signal.symbol_rate == pytest.approx(0.1, rel=1e-3)
    assert signal.center == -0.2
    assert channel_of(recording_of(samples), signal).count == pytest.approx(48_000, rel=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"symbol_rate": float("nan")},
        {"symbol_rate": 0.0},
        {"symbol_rate": 0.7},
        {"bandwidth": 2.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ConfigError, match="allowed"):
        FrontEndSettings(**settings)


@pytest.mark.parametrize(("center", "settings"), [(0.1, {}), (0.7, {"bandwidth": 0.1}), (np.nan, {"bandwidth": 0.1})])
def test_a_signal_that_cannot_be_placed_is_refused(center, settings):
    with pytest.raises(ConfigError, match="allowed"):
        signal_at(recording_of(noise(5000)), center, FrontEndSettings(**settings))


class LongStore:
    """Noise with a signal in the middle, 8 Msamples made on demand; keeps the longest slice that was read."""

    def __init__(self):
        self.count, self.longest, self.period = 1 << 23, 0, 1 << 18
        self.noise = noise(self.period)
        self.both = (self.noise + 3 * linear_signal("QPSK", self.period, 8.0, 0.35, np.random.default_rng(1))).astype(
            np.complex64
        )

    def read(self, start, stop):
        self.longest = max(self.longest, stop - start)
        place = np.arange(start, stop)
        there = (place > self.count // 4) & (place < 3 * self.count // 4)
        return np.where(there, self.both[place % self.period], self.noise[place % self.period])


def test_a_long_capture_is_read_in_bounded_slices():
    store = LongStore()
    recording = Recording(recording_of(noise(1)).path, store)
    (signal,) = find_signals(recording)
    channel = channel_of(recording, signal)
    assert len(channel.read(0, channel.count)) == channel.count
    assert (signal.start, signal.stop) == (pytest.approx(1 << 21, abs=50), pytest.approx(3 << 21, abs=50))
    assert signal.symbol_rate == pytest.approx(1 / 8, rel=1e-4)
    assert store.longest <= (1 << 20) + 2048
