"""The SNR law, the rotation, and the shortcut for samples nobody sees."""

import math

import pytest
import torch

from bacalhaunet.radio.channel import phasors, receive, signal_gain, signal_to_noise_db
from bacalhaunet.radio.random_streams import FrameStreams


def streams(count):
    zero = torch.zeros(count, dtype=torch.int64)
    return FrameStreams(7, zero, zero.float(), torch.arange(count))


def test_a_label_is_an_amplitude_so_the_snr_is_twice_the_label():
    labels = torch.tensor([-20.0, 0.0, 10.0, 30.0])
    assert torch.allclose(signal_gain(labels), torch.tensor([0.01, 1.0, 10.0, 1000.0]))
    assert torch.equal(signal_to_noise_db(labels), 2 * labels)


def test_phasors_turn_with_the_offset():
    gain = torch.tensor([[2.0], [1.0], [0.5]])
    phase, step = torch.tensor([[0.3], [2.0], [6.0]]), torch.tensor([[0.01], [-0.02], [0.0]])
    made = phasors(gain, phase, step, 256).double()
    expected = gain.double() * torch.exp(1j * (phase + step * torch.arange(256)).double())
    assert torch.allclose(torch.complex(made[:, 0], made[:, 1]), expected, atol=1e-5)


def test_the_scale_of_the_clean_block_does_not_matter():
    block, snr, zero = _wave(512).expand(8, 2, 512).contiguous(), torch.full((8,), 3.0), torch.zeros(8, 1)
    one = receive(block, snr, zero, zero, 256, streams(8), 0, 1)
    other = receive(7 * block, snr, zero, zero, 256, streams(8), 0, 1)
    assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("label", [-10.0, 0.0, 6.0])
def test_the_unseen_half_has_the_distribution_of_noise_drawn_sample_by_sample(constant, label):
    count, length, total = 3000, 128, 256
    block, zero = torch.ones(1, 2, total) * math.sqrt(0.5) if constant else _wave(total), torch.zeros(count, 1)
    block = block.expand(count, 2, total).contiguous()
    snr = torch.full((count,), label)
    short = receive(block, snr, zero, zero, length, streams(count), 0, 1)
    gain = signal_gain(snr).view(-1, 1, 1)
    noise = torch.randn(count, 2, total, generator=torch.Generator().manual_seed(3)) * math.sqrt(0.5)
    noisy = block * gain + noise
    std = (noisy.pow(2).sum((1, 2)) / total - noisy.mean(2).pow(2).sum(1)).sqrt()
    full = noisy[:, :, :length] / std.view(-1, 1, 1)
    for moment in (lambda x: x.pow(2).sum(1).mean(1), lambda x: x.pow(2).sum(1).mean(1) ** 2):
        a, b = moment(short), moment(full)
        error = math.sqrt(float(a.var() + b.var()) / count)
        assert abs(float(a.mean() - b.mean())) < 4.5 * error + 1e-6
    spread = moment(short).std() / moment(full).std()
    assert float(spread) == pytest.approx(1.0, abs=0.09)


def _wave(total):
    t = torch.arange(total) * 0.3
    return torch.stack((torch.cos(t), torch.sin(t)))[None]


def test_a_whole_block_has_unit_std_exactly():
    block = _wave(512).expand(8, 2, 512).contiguous()
    out = receive(block, torch.full((8,), 3.0), torch.zeros(8, 1), torch.zeros(8, 1), 512, streams(8), 0, 1)
    variance = out.pow(2).sum((1, 2)) / 512 - out.mean(2).pow(2).sum(1)
    assert torch.allclose(variance, torch.ones(8), atol=1e-5)
