"""Multipath and receiver of the field profile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bacalhaunet.radio.field.config import FadingConfig, FieldConfig, ReceiverConfig
from bacalhaunet.radio.field.draws import Draws
from bacalhaunet.radio.field.receiver import DELAY_PROFILES, Fading, noise_power
from bacalhaunet.radio.field.source import Field
from bacalhaunet.radio.field.transmitter import BLOCK_LENGTH, interpolate
from bacalhaunet.radio.random_streams import FrameStreams

SEED = 11


def draws(count: int) -> Draws:
    index = torch.arange(count)
    return Draws(FrameStreams(SEED, torch.zeros_like(index), torch.zeros(count), index))


def with_receiver(**changes: object) -> Field:
    clean = FieldConfig.clean()
    return Field(replace(clean, receiver=replace(clean.receiver, **changes), noise_class=True))


# 3GPP TS 36.101, table B.2.1-1: rms delay spreads of 45, 357 and 991 ns; ITU-R M.1225: 45 and 370 ns.
@pytest.mark.parametrize(
    ("name", "nanoseconds"), [("EPA", 45), ("EVA", 357), ("ETU", 991), ("ITU-PA", 45), ("ITU-VA", 370)]
)
def test_profiles_have_the_published_delay_spread(name: str, nanoseconds: float) -> None:
    delay, level = (np.asarray(values, dtype=float) for values in DELAY_PROFILES[name])
    power = 10 ** (level / 10) / (10 ** (level / 10)).sum()
    spread = np.sqrt((power * delay**2).sum() - (power * delay).sum() ** 2)
    assert abs(spread - nanoseconds) < 0.05 * nanoseconds


@pytest.mark.parametrize("name", list(DELAY_PROFILES))
def test_scattered_paths_have_the_profile_and_unit_mean_power(name: str) -> None:
    count = 2000
    fading = Fading(FadingConfig(0.0, 1.0, profiles=(name,)), torch.device("cpu"))
    response, kind = fading.response(torch.full((count,), 2e6), draws(count))
    assert (kind == 2).all()
    delay, level = (np.asarray(values, dtype=float) for values in DELAY_PROFILES[name])
    power = 10 ** (level / 10) / (10 ** (level / 10)).sum()
    middle = torch.fft.fftshift(response, dim=1)[:, BLOCK_LENGTH // 8 : -BLOCK_LENGTH // 8].numpy()
    # The correlation over frequency is the Fourier transform of the profile (Bello, 1963).
    for lag in (0, 40, 160, 480):
        measured = (middle[:, lag:] * middle[:, : middle.shape[1] - lag].conj()).mean()
        wanted = (power * np.exp(-2j * np.pi * lag / BLOCK_LENGTH * 2e6 * delay * 1e-9)).sum()
        assert abs(measured - wanted) < 0.08


def test_rayleigh_amplitudes_are_rayleigh_and_rician_ones_are_steadier() -> None:
    def spread(config: FadingConfig) -> float:
        response, _ = Fading(config, torch.device("cpu")).response(torch.full((4000,), 1e5), draws(4000))
        power = response[:, 0].abs().square()
        return (power.var() / power.mean() ** 2).item()

    assert abs(spread(FadingConfig(0.0, 1.0)) - 1) < 0.12  # exponential power
    factor = 10.0
    wanted = (1 + 2 * factor) / (1 + factor) ** 2
    assert abs(spread(FadingConfig(1.0, 0.0, rician_k_db=(10.0, 10.0))) - wanted) < 0.02


def test_a_single_path_changes_nothing() -> None:
    response, kind = Fading(FadingConfig(0.0, 0.0), torch.device("cpu")).response(torch.full((8,), 1e6), draws(8))
    assert (kind == 0).all()
    torch.testing.assert_close(response, torch.ones_like(response))


def test_kinds_of_channel_have_their_shares() -> None:
    kind = Field().explained("QPSK", 10, 2000, seed=SEED).truth["fading"]
    shares = torch.bincount(kind, minlength=3) / len(kind)
    torch.testing.assert_close(shares, torch.tensor([0.40, 0.35, 0.25]), atol=0.035, rtol=0)


def test_noise_power_is_its_definition() -> None:
    torch.testing.assert_close(
        noise_power(torch.tensor([0.0, 10.0, -20.0]), torch.tensor([0.125, 0.125, 0.5])),
        torch.tensor([8.0, 0.8, 200.0]),
    )


def test_carrier_offset_is_the_one_told_and_within_its_share_of_the_band() -> None:
    made = with_receiver(carrier_offset=0.05).explained("16QAM", 60, 200, seed=SEED)
    x = torch.complex(made.frames[:, 0], made.frames[:, 1])
    offset = made.truth["carrier_offset"]
    turn = torch.exp(-2j * np.pi * offset[:, None] * torch.arange(1024))
    still, moving = ((made.received.conj() * x * rotation).sum(1).abs() for rotation in (turn, torch.ones(1)))
    power = made.received.abs().square().sum(1).sqrt() * 32
    assert (still / power).min() > 0.999
    assert (moving / power).median() < 0.5
    assert (offset.abs() <= 0.05 * made.truth["bandwidth"]).all()
    assert (offset.abs() / made.truth["bandwidth"]).max() > 0.045


def test_phase_noise_walks_with_its_linewidth() -> None:
    level = -80.0
    made = with_receiver(phase_noise_db=(level, level)).explained("QPSK", 80, 200, seed=SEED)
    x = torch.complex(made.frames[:, 0], made.frames[:, 1])
    phase = torch.angle((x * made.received.conj()).view(200, 32, 32).sum(2))
    steps = torch.remainder(phase[:, 16] - phase[:, 0] + np.pi, 2 * np.pi) - np.pi
    linewidth = 2 * np.pi * 1e8 * 10 ** (level / 10)
    wanted = 2 * np.pi * linewidth / made.truth["sample_rate_hz"] * 512
    small = wanted < 0.5
    assert abs((steps[small].square() / wanted[small]).mean() - 1) < 0.3


def test_image_is_as_strong_as_the_imbalances_allow_and_no_stronger() -> None:
    def image_db(**changes: float) -> torch.Tensor:
        made = with_receiver(**changes).explained("AM-SSB-SC", 80, 200, seed=SEED)
        x = torch.complex(made.frames[:, 0], made.frames[:, 1])
        return 20 * torch.log10((x * x).mean(1).abs() / 2 + 1e-9)

    # |E x^2| = 2 |mu nu| for a proper signal, so the half of it is the image's amplitude; SSB is nearly proper.
    assert image_db(gain_imbalance_db=3.0).median() > image_db().median() + 6


def test_dc_offset_has_its_level() -> None:
    frames = with_receiver(dc_offset_db=(-10.0, -10.0)).explained("noise", 0, 400, seed=SEED).frames
    level = 10 * torch.log10(frames.mean(2).square().sum(1).mean())
    # 1024 samples of noise add 1/1024; the offset adds a tenth to the power that is then scaled to one.
    assert abs(level.item() - 10 * np.log10(0.1 / 1.1 + 1 / 1024)) < 0.2


def test_converter_uses_its_levels_and_clips_at_full_scale() -> None:
    frames = with_receiver(bits=(4,), headroom_db=(6.0, 6.0)).explained("noise", 0, 32, seed=SEED).frames
    for frame in frames:
        levels = torch.unique((frame / frame.abs().max() * 1e4).round())
        assert 12 <= len(levels) <= 16
    clipped = (frames <= 0.999 * frames.amin((1, 2), keepdim=True)).float().mean()
    # Below -2 sigma there is 2.3 % of a Gaussian; the lowest of 16 levels begins half a step (1/8 sigma) before it.
    assert 0.02 < clipped < 0.045


def test_channel_filter_cuts_the_noise_outside_and_keeps_the_band() -> None:
    made = with_receiver(channel_filter_share=1.0, channel_filter_width=(1.2, 1.2)).explained(
        "QPSK", -10, 128, seed=SEED
    )
    x = torch.complex(made.frames[:, 0], made.frames[:, 1])
    spectrum = torch.fft.fft(x * torch.blackman_window(1024)).abs().square()
    ratio = torch.fft.fftfreq(1024).abs()[None] / made.truth["occupied"][:, None]
    inside, outside = (spectrum * (ratio < 0.5)), (spectrum * (ratio > 0.9))
    assert 10 * torch.log10(outside.sum() / inside.sum()) < -45
    assert made.truth["channel_filter"].all()


def test_matched_filter_turns_the_root_into_a_nyquist_pulse() -> None:
    made = with_receiver(matched_filter_share=1.0).explained("BPSK", 60, 32, seed=SEED)
    for row in range(32):
        rate, first = (made.truth[key][row].item() for key in ("samples_per_symbol", "symbol_instant"))
        x = torch.complex(made.frames[row, 0], made.frames[row, 1])
        start = torch.tensor([first + 5 * rate])
        points = interpolate(x[None], start, torch.tensor([rate]), 115)[0].abs()
        assert points.std() / points.mean() < 0.03


def test_default_receiver_keeps_the_label_recognisable() -> None:
    config = ReceiverConfig()
    made = Field(FieldConfig(receiver=config)).explained("QPSK", 20, 64, seed=SEED)
    assert (made.truth["carrier_offset"].abs() <= config.carrier_offset * made.truth["bandwidth"]).all()
    assert 0.05 < made.truth["matched"].float().mean() < 0.3
