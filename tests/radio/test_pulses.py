"""Pulses against closed forms, and the bank against plain convolution."""

import numpy as np
import pytest
import torch

from bacalhaunet.radio.pulses import pulse, pulse_bank, raised_cosine_response, shape


def test_two_filters_make_the_raised_cosine():
    time, roll_off = np.linspace(-6, 6, 97) + 0.013, 0.4
    closed = np.sinc(time) * np.cos(np.pi * roll_off * time) / (1 - (2 * roll_off * time) ** 2)
    assert np.abs(pulse(time, roll_off, 2) - closed).max() < 1e-7


def test_one_filter_makes_the_root_raised_cosine():
    t, b = np.linspace(-6, 6, 97) + 0.013, 0.4
    top = np.sin(np.pi * t * (1 - b)) + 4 * b * t * np.cos(np.pi * t * (1 + b))
    assert np.abs(pulse(t, b, 1) - top / (np.pi * t * (1 - (4 * b * t) ** 2))).max() < 1e-7


def test_response_at_half_the_symbol_rate_is_one_half():
    assert raised_cosine_response(np.array([0.0, 0.3, 0.5, 0.7]), 0.4) == pytest.approx([1, 1, 0.5, 0])


def test_bank_has_unit_energy_and_shapes_like_convolution():
    half, run = 10, 8
    bank = pulse_bank(0.4, 3.0, half, 0.25, run, (0, 5))
    symbols = torch.randn(2, 2 * run + 2 * half, generator=torch.Generator().manual_seed(1))
    made = shape(symbols, bank, torch.tensor([0, 1]), 2).double().numpy()
    fine = np.arange(-half * 8, half * 8 + 1)
    energy = (pulse(fine / 8, 0.4, 3.0) ** 2).sum() / 8
    n = np.arange(2 * run * 8)
    for row, shift in ((0, 0), (1, 5)):
        expected = np.zeros(len(n))
        for k, symbol in enumerate(symbols[row].tolist()):
            t = (n - 8 * (k - half) - shift - 0.25) / 8
            expected += symbol * np.where(np.abs(t) <= half, pulse(t, 0.4, 3.0), 0) / np.sqrt(energy)
        assert np.abs(made[row] - expected).max() < 1e-5
