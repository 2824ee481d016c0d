"""Counter-based random numbers: distribution, independence, and the same for every batch."""

import math

import pytest
import torch

from bacalhaunet.radio.random_streams import FrameStreams


def streams(count=64, *, seed=1, modulation=3, snr_db=10.0, first=0):
    index = torch.arange(first, first + count)
    return FrameStreams(seed, torch.full((count,), modulation), torch.full((count,), snr_db), index)


def test_normals_have_the_moments_and_tails_of_a_normal():
    z = streams(512).normal(0, 2048).double()
    n = z.numel()
    assert abs(z.mean()) < 5 / math.sqrt(n)
    assert abs(z.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((z**4).mean() - 3) < 5 * math.sqrt(96 / n)
    for limit in (1.0, 2.0, 3.0, 4.0):
        tail = math.erfc(limit / math.sqrt(2))
        assert abs((z.abs() > limit).double().mean() - tail) < 5 * math.sqrt(tail / n)


def test_uniforms_are_flat_and_never_0_or_1():
    u = streams(512).uniform(3, 2048)
    assert u.min() > 0
    assert u.max() < 1
    counts = torch.histc(u, 256, 0, 1)
    expected = u.numel() / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 255) < 5 * math.sqrt(2 * 255)


@pytest.mark.parametrize("high", [1, 2, 3, 7, 256, 65536])
def test_integers_cover_the_range_evenly(high):
    drawn = streams(64).integers(1, 4096, high)
    assert drawn.dtype == torch.int64
    assert drawn.min() >= 0
    assert drawn.max() <= high - 1
    assert abs(drawn.double().mean() - (high - 1) / 2) <= 5 * high / math.sqrt(12 * drawn.numel())


def test_integers_refuse_more_values_than_the_grid_can_give_evenly():
    with pytest.raises(ValueError, match="65537"):
        streams(1).integers(0, 1, 65537)


def test_numbers_of_a_frame_do_not_depend_on_its_batch():
    whole = streams(100)
    for count in (1, 7, 63, 64, 1024, 2048, 2050, 40000):
        if count == 40000:
            whole = streams(5)
        expected = whole.normal(2, count)
        for start, stop in ((0, 1), (3, 5), (1, len(whole))):
            alone = streams(stop - start, first=start)
            assert torch.equal(alone.normal(2, count), expected[start:stop])
            assert torch.equal(whole.pick(torch.arange(start, stop)).normal(2, count), expected[start:stop])


def test_numbers_do_not_depend_on_the_threads():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = streams(70).normal(0, 3000)
        torch.set_num_threads(3)
        assert torch.equal(streams(70).normal(0, 3000), expected)
    finally:
        torch.set_num_threads(threads)


def test_a_longer_draw_of_integers_begins_with_the_shorter_one():
    assert torch.equal(streams(3).integers(4, 500, 16)[:, :100], streams(3).integers(4, 100, 16))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"seed": 1 + (1 << 32)},
        {"seed": -1},
        {"modulation": 4},
        {"snr_db": 12.0},
        {"snr_db": 10.5},
        {"first": 64},
        {"first": 1 << 40},
    ],
)
def test_each_part_of_the_name_gives_independent_numbers(other):
    a, b = streams(64).normal(0, 2048).double(), streams(64, **other).normal(0, 2048).double()
    correlation = (a * b).mean(1) * math.sqrt(2048)
    assert correlation.abs().max() < 5.5
    assert (correlation**2).mean() < 1.9


def test_frames_and_streams_are_uncorrelated_at_every_lag():
    z = streams(128).normal(0, 1024).double()
    other = streams(128).normal(1, 1024).double()
    scaled = z @ z.T / 32
    scaled.fill_diagonal_(0)
    assert scaled.abs().max() < 6
    assert ((z @ other.T) / 32).abs().max() < 6
    spectrum = torch.fft.fft(z, dim=1)
    lags = torch.fft.ifft(spectrum[:-1] * spectrum[1:].conj(), dim=1).real / 32
    assert lags.abs().max() < 6.5
    own = torch.fft.ifft(spectrum.abs() ** 2, dim=1).real[:, 1:] / 32
    assert own.abs().max() < 7


def test_a_million_frames_have_different_keys():
    index = torch.arange(1_000_000)
    drawn = FrameStreams(0, torch.zeros_like(index), torch.zeros(len(index)), index).words(0, 2)
    assert torch.unique(drawn[:, 0].to(torch.int64) * (1 << 32) + drawn[:, 1]).numel() == 1_000_000
