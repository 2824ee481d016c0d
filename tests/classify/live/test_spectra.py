"""Spectra of blocks: their scale, where signals are found in them, and the waterfall made of all samples."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs scipy")

from bacalhaunet.classify.front_end.regions import regions, segment_powers
from bacalhaunet.classify.live.search import Waterfall, block_length, block_spectrogram, waterfall_rows
from tests.classify.live.streams import SIGNALS, noise, stream


@pytest.mark.parametrize(("rate", "length"), [(1e3, 1 << 15), (48e3, 1 << 15), (3e5, 1 << 16), (1e7, 1 << 18)])
def test_blocks_are_a_third_of_a_second_at_most_within_bounds(rate, length):
    assert block_length(rate) == length


def test_white_noise_has_its_power_in_every_bin():
    samples = noise(1 << 18, level=0.5)
    for power in (block_spectrogram(samples).power, waterfall_rows(samples, 4)):
        assert power.mean() == pytest.approx(0.5, rel=0.01)
        assert power.mean(axis=0).std() < 0.05


def test_a_tone_is_at_its_frequency():
    samples = np.exp(2j * np.pi * 0.125 * np.arange(8192)).astype(np.complex64)
    assert segment_powers(samples, 256).mean(axis=0).argmax() == (0.125 + 0.5) * 256


@pytest.mark.parametrize("count", [4096, 1 << 15, 1 << 18, 50_000])
def test_signals_are_found_in_blocks_of_any_size(count):
    found = regions(block_spectrogram(stream(count)))
    centers = sorted((region.low + region.high) / 2 for region in found)
    assert centers == pytest.approx([center for _, center, _ in SIGNALS], abs=0.01)


def test_noise_alone_is_empty():
    found = [regions(block_spectrogram(noise(1 << 16, seed))) for seed in range(20)]
    assert sum(map(len, found)) == 0


@pytest.mark.parametrize(("rate", "count"), [(1e7, 1 << 18), (1e5, 1 << 15), (2e4, 1 << 15)])
def test_about_twelve_rows_a_second_hold_all_samples(rate, count):
    waterfall, rows = Waterfall(rate), []
    blocks = 12
    for number in range(blocks):
        begun = number * count / rate
        rows += waterfall.add(noise(count, number, level=0.5), (begun, begun + count / rate))
    seconds = blocks * count / rate
    assert len(rows) == pytest.approx(min(12 * seconds, 32 * blocks), rel=0.5)
    assert sum(row.seconds for row in rows) == pytest.approx(seconds, rel=0.3)
    assert all(late.time > early.time for early, late in pairwise(rows))
    assert np.mean([10 ** (row.decibels / 10) for row in rows]) == pytest.approx(0.5, rel=0.02)
