"""Digital classes of the field profile: pulses, bands, constellations, envelopes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bacalhaunet.radio.constellations import BUILDERS, constellation
from bacalhaunet.radio.field.config import DigitalConfig, FadingConfig, FieldConfig
from bacalhaunet.radio.field.source import Field

SEED = 3
LINEAR = tuple(BUILDERS)


def any_rate() -> FieldConfig:
    """Clean transmitters at all symbol rates."""
    clean = FieldConfig.clean()
    return FieldConfig(digital=DigitalConfig(locked_share=0.3), fading=clean.fading, receiver=clean.receiver)


def root_raised_cosine(time: np.ndarray, b: float) -> np.ndarray:
    """Time-domain textbook form (Proakis, Digital Communications, section 9.2), time in symbols."""
    time = np.where(np.abs(np.abs(4 * b * time) - 1) < 1e-6, time + 1e-5, time)
    time = np.where(np.abs(time) < 1e-9, 1e-5, time)
    above = np.sin(np.pi * time * (1 - b)) + 4 * b * time * np.cos(np.pi * time * (1 + b))
    return above / (np.pi * time * (1 - (4 * b * time) ** 2))


def ideal_reception(samples: np.ndarray, rate: float, rolloff: float, first: float) -> np.ndarray:
    """Matched filter at the symbol instants, away from the frame's ends."""
    instants = np.arange(first, len(samples), rate)
    margin = 14 * rate
    instants = instants[(instants > margin) & (instants < len(samples) - margin)]
    time = (np.arange(len(samples))[None] - instants[:, None]) / rate
    return (root_raised_cosine(time, rolloff) / rate) @ samples


def error_after_gain_control(points: np.ndarray, name: str) -> float:
    """Rms distance to the decided points over the rms of the constellation.

    The block has unit power, the drawn symbols have not quite: a real gain is fitted to the decisions.
    """
    wanted = constellation("QPSK" if name == "OQPSK" else name)
    wanted = wanted / np.sqrt(np.mean(np.abs(wanted) ** 2))
    errors = []
    for start in (0.9, 0.95, 1.0, 1.05, 1.1):  # decisions of dense constellations go wrong from a gain a few % off
        scaled = points * start
        for _ in range(4):
            decided = wanted[np.abs(scaled[:, None] - wanted[None]).argmin(1)]
            scaled = scaled * (np.vdot(decided, decided).real / np.vdot(decided, scaled).real)
        errors.append(float(np.sqrt(np.mean(np.abs(scaled - decided) ** 2))))
    return min(errors)


@pytest.mark.parametrize("name", LINEAR)
def test_ideal_reception_gives_back_the_constellation(name: str) -> None:
    made = Field(any_rate()).explained(name, 60, 32, seed=SEED)
    received = made.received.numpy().astype(np.complex128)
    errors = []
    for row, samples in enumerate(received):
        rate, rolloff, first = (
            made.truth[key][row].item() for key in ("samples_per_symbol", "rolloff", "symbol_instant")
        )
        points = ideal_reception(samples, rate, rolloff, first)
        if name == "OQPSK":
            late = ideal_reception(samples, rate, rolloff, first + rate / 2)
            count = min(len(points), len(late))
            points = points[:count].real + 1j * late[:count].imag
        errors.append(error_after_gain_control(points, name))
    assert np.median(errors) < 0.005
    assert max(errors) < 0.02


@pytest.mark.parametrize("name", ["BPSK", "16QAM", "OOK", "OQPSK"])
def test_linear_classes_fill_their_band_and_nothing_else(name: str) -> None:
    made = Field(any_rate()).explained(name, 60, 64, seed=SEED)
    window = torch.blackman_window(1024)
    spectrum = torch.fft.fft(made.received * window).abs().square()
    edge = made.truth["occupied"][:, None] / 2 + 4 / 1024
    outside = (spectrum * (torch.fft.fftfreq(1024).abs()[None] > edge)).sum(1) / spectrum.sum(1)
    inner = (torch.fft.fftfreq(1024).abs()[None] < 0.35 * made.truth["bandwidth"][:, None]).float()
    assert 10 * torch.log10(outside.max()) < -40
    assert ((spectrum * inner).sum(1) / spectrum.sum(1)).mean() > 0.6


def test_symbol_rates_lie_in_4_to_16_samples_and_mostly_close_to_8() -> None:
    rate = Field().explained("QPSK", 10, 2000, seed=SEED).truth["samples_per_symbol"]
    assert rate.min() >= 4
    assert rate.max() <= 16
    assert 0.76 < ((rate / 8 - 1).abs() < 0.02).float().mean() < 0.88
    assert rate.max() > 15
    assert rate.min() < 4.2


def test_rolloff_and_bt_cover_their_ranges() -> None:
    rolloff = Field().explained("16QAM", 10, 500, seed=SEED).truth["rolloff"]
    bt = Field().explained("GMSK", 10, 500, seed=SEED).truth["bt"]
    assert 0.1 <= rolloff.min() < 0.11
    assert 0.49 < rolloff.max() <= 0.5
    assert 0.2 <= bt.min() < 0.21
    assert 0.49 < bt.max() <= 0.5


def test_gmsk_has_a_constant_envelope_and_turns_a_quarter_turn_a_bit() -> None:
    config = FieldConfig.clean()
    made = Field(FieldConfig(DigitalConfig(1.0 * 8, 1.0, 0.0, gmsk_bt=(0.5, 0.5)), fading=config.fading)).explained(
        "GMSK", 60, 64, seed=SEED
    )
    assert (made.received.abs() - 1).abs().max() < 1e-3
    turn = torch.angle(made.received[:, 8:] * made.received[:, :-8].conj())
    assert turn.abs().max() < np.pi / 2 * 1.01
    assert turn.abs().max() > np.pi / 2 * 0.98


def test_gmsk_band_shrinks_with_bt() -> None:
    def width(bt: float) -> float:
        clean = FieldConfig.clean()
        config = FieldConfig(DigitalConfig(8.0, 1.0, 0.0, gmsk_bt=(bt, bt)), fading=clean.fading)
        received = Field(config).explained("GMSK", 60, 200, seed=SEED).received
        spectrum = torch.fft.fft(received * torch.blackman_window(1024)).abs().square().mean(0)
        order = torch.fft.fftfreq(1024).abs().argsort()
        share = spectrum[order].cumsum(0) / spectrum.sum()
        return 2 * torch.fft.fftfreq(1024).abs()[order][(share > 0.99).nonzero()[0]].item() * 8

    # 99 % bandwidths over the bit rate, Murota and Hirade (1981), table I: 0.79 at 0.2, 0.86 at 0.25, 1.04 at 0.5.
    assert abs(width(0.2) - 0.79) < 0.03
    assert abs(width(0.25) - 0.86) < 0.03
    assert abs(width(0.5) - 1.04) < 0.04


def test_oqpsk_never_passes_through_zero() -> None:
    config = FieldConfig.clean()
    source = Field(FieldConfig(DigitalConfig(8.0, 1.0, 0.0, rolloff=(0.5, 0.5)), fading=FadingConfig(0.0, 0.0)))
    offset = source.explained("OQPSK", 60, 64, seed=SEED).received.abs().min()
    usual = source.explained("QPSK", 60, 64, seed=SEED).received.abs().min()
    assert config.digital.rate_error == 0
    assert usual < 0.05
    assert offset > 0.3
