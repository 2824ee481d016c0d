"""Analog classes of the field profile: bands, sidebands, depths, deviations; and their messages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bacalhaunet.radio.field.config import FM_SERVICES, AnalogConfig, AudioConfig, FieldConfig
from bacalhaunet.radio.field.draws import Draws
from bacalhaunet.radio.field.messages import AUDIO_LENGTH, AUDIO_OVERSAMPLING, Messages, harmonics
from bacalhaunet.radio.field.source import Field
from bacalhaunet.radio.random_streams import FrameStreams

SEED = 5
FREQUENCY = torch.fft.fftfreq(1024)


def clean(**analog: object) -> Field:
    config = FieldConfig.clean()
    audio = AudioConfig(pause_share=0.0)
    return Field(replace(config, analog=replace(AnalogConfig(), **analog), audio=audio))


def spectra(received: torch.Tensor) -> torch.Tensor:
    return torch.fft.fft(received * torch.blackman_window(1024)).abs().square()


def share_db(spectrum: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10((spectrum * wanted).sum(1) / spectrum.sum(1) + 1e-12)


@pytest.mark.parametrize("name", ["AM-DSB-WC", "AM-DSB-SC"])
def test_double_sideband_is_symmetric_and_stays_in_twice_the_audio_band(name: str) -> None:
    made = clean().explained(name, 60, 128, seed=SEED)
    spectrum = spectra(made.received)
    outside = FREQUENCY.abs()[None] > made.truth["bandwidth"][:, None] / 2 + 4 / 1024
    assert share_db(spectrum, outside).max() < -40
    torch.testing.assert_close(spectrum[:, 1:512], spectrum[:, 513:].flip(1), rtol=1e-2, atol=1e-1)


@pytest.mark.parametrize("name", ["AM-SSB-WC", "AM-SSB-SC"])
def test_single_sideband_is_on_one_side_of_its_carrier(name: str) -> None:
    made = clean(carrier_tuned_share=1.0).explained(name, 60, 200, seed=SEED)
    spectrum, side = spectra(made.received), made.truth["side"]
    wrong = (FREQUENCY[None] * side[:, None]) < -4 / 1024
    level = share_db(spectrum, wrong)
    assert level.median() < -45
    assert level.quantile(0.95) < -30
    assert 0.35 < (side > 0).float().mean() < 0.65


def test_centred_single_sideband_has_the_middle_of_its_band_at_zero() -> None:
    made = clean(carrier_tuned_share=0.0).explained("AM-SSB-SC", 60, 200, seed=SEED)
    inside = FREQUENCY.abs()[None] < made.truth["bandwidth"][:, None] / 2 + 4 / 1024
    level = (spectra(made.received) * inside).sum(1) / spectra(made.received).sum(1)
    assert level.median() > 0.999
    assert (made.truth["carrier_frequency"].abs() > made.truth["bandwidth"] / 2).all()


def test_carriers_of_single_sideband_have_the_levels_of_their_class() -> None:
    with_carrier = clean().explained("AM-SSB-WC", 60, 400, seed=SEED).truth["carrier"]
    level = 20 * torch.log10(with_carrier)
    full = level > -10
    assert 0.4 < full.float().mean() < 0.6
    assert level[full].min() >= -6.01
    assert level[full].max() <= -2.99
    assert level[~full].min() >= -20.01
    assert level[~full].max() <= -15.99
    without = clean().explained("AM-SSB-SC", 60, 400, seed=SEED).truth["carrier"]
    assert (20 * torch.log10(without)).max() <= -39.99


def test_carrier_of_ssb_wc_stands_out_at_its_frequency() -> None:
    made = clean(carrier_tuned_share=1.0, full_carrier_share=1.0).explained("AM-SSB-WC", 60, 64, seed=SEED)
    spectrum = spectra(made.received)
    assert (spectrum.argmax(1).eq(0)).float().mean() > 0.95


def test_am_depth_is_drawn_from_its_range_and_bounds_the_envelope() -> None:
    made = clean().explained("AM-DSB-WC", 60, 400, seed=SEED)
    depth, envelope = made.truth["depth"], made.received.abs()
    assert 0.3 <= depth.min() < 0.32
    assert 0.98 < depth.max() <= 1.0
    ratio = envelope.amin(1) / envelope.amax(1)
    assert (ratio >= (1 - depth) / (1 + depth) - 1e-3).all()
    reached = (envelope.amax(1) - envelope.amin(1)) / (envelope.amax(1) + envelope.amin(1))
    assert ((reached / depth) > 0.5).float().mean() > 0.5


def test_suppressed_carrier_dsb_reverses_its_phase() -> None:
    made = clean().explained("AM-DSB-SC", 60, 200, seed=SEED)
    real = made.received.real
    assert ((real.amin(1) < 0) & (real.amax(1) > 0)).float().mean() > 0.95
    assert made.received.imag.abs().max() < 1e-3 * real.abs().max()


def instantaneous_frequency(received: torch.Tensor) -> torch.Tensor:
    return torch.angle(received[:, 1:] * received[:, :-1].conj()) / (2 * np.pi)


def test_fm_has_a_constant_envelope_and_stays_within_its_deviation() -> None:
    made = clean().explained("FM", 60, 400, seed=SEED)
    assert (made.received.abs() - 1).abs().max() < 1e-3
    reached = instantaneous_frequency(made.received).abs().amax(1)
    assert (reached <= made.truth["deviation"] * 1.01 + 1e-5).all()
    assert ((reached / made.truth["deviation"]) > 0.4).float().mean() > 0.5


def test_fm_deviation_follows_the_services() -> None:
    for service in FM_SERVICES:
        deviation = clean(fm_services=(service,)).explained("FM", 60, 300, seed=SEED).truth["deviation_hz"]
        assert 0.3 <= deviation.min() / service.deviation_hz < 0.33
        assert 0.97 < deviation.max() / service.deviation_hz <= 1.0001


def test_carson_bandwidth_holds_98_percent_of_fm() -> None:
    made = clean().explained("FM", 60, 400, seed=SEED)
    spectrum = spectra(made.received)
    inside = FREQUENCY.abs()[None] <= made.truth["bandwidth"][:, None] / 2 + 2 / 1024
    assert ((spectrum * inside).sum(1) / spectrum.sum(1)).quantile(0.05) > 0.98


def test_stereo_carries_its_pilot_at_19_khz() -> None:
    made = clean(fm_services=(FM_SERVICES[3],)).explained("FM", 60, 64, seed=SEED)
    tone = torch.exp(-2j * np.pi * torch.arange(1023) * (19000.0 / made.truth["sample_rate_hz"])[:, None])
    message = instantaneous_frequency(made.received) / made.truth["deviation"][:, None]
    window = torch.hann_window(1023)
    pilot = 2 * (message * window * tone).sum(1).abs() / window.sum()
    assert abs(pilot.median().item() - 0.1) < 0.02


def test_pauses_leave_the_bare_carrier_in_their_share_of_frames() -> None:
    config = replace(FieldConfig.clean(), audio=AudioConfig(pause_share=0.25))
    made = Field(config).explained("AM-DSB-WC", 60, 600, seed=SEED)
    bare = made.received.abs().std(1) < 1e-5
    assert 0.19 < bare.float().mean() < 0.31
    assert torch.equal(bare, made.truth["depth"] == 0)


def messages(music: bool, count: int = 400, **audio: object) -> tuple[np.ndarray, float]:
    """Waveforms of a 3400 Hz service and their rate."""
    index = torch.arange(count)
    draws = Draws(FrameStreams(SEED, torch.full_like(index, 19), torch.zeros(count), index))
    made = Messages(AudioConfig(speech_share=0.0 if music else 1.0, **audio), torch.device("cpu"))
    high, low = torch.full((count,), 3400.0), torch.full((count,), 50.0)
    spectrum = made.spectra(low, high, torch.full((count,), music), torch.zeros(count), draws)
    return torch.fft.irfft(spectrum, n=AUDIO_LENGTH).numpy(), 3400 * AUDIO_OVERSAMPLING


def test_voiced_speech_is_periodic_at_its_pitch_and_unvoiced_is_not() -> None:
    def periodicity(share: float) -> np.ndarray:
        wave, rate = messages(False, voiced_share=share, pitch_hz=(125.0, 125.0), pitch_slope=0.0)
        lag = round(rate / 125.0)
        middle = wave[:, 200:-200]
        return np.array([np.corrcoef(row[:-lag], row[lag:])[0, 1] for row in middle])

    assert np.median(periodicity(1.0)) > 0.8
    assert abs(np.median(periodicity(0.0))) < 0.2


def test_long_term_spectrum_of_speech_falls_above_its_first_formant() -> None:
    wave, rate = messages(False, voiced_share=1.0)
    wave = wave / wave.std(1, keepdims=True)
    spectrum = (np.abs(np.fft.rfft(wave * np.hanning(AUDIO_LENGTH))) ** 2).mean(0)
    frequency = np.fft.rfftfreq(AUDIO_LENGTH, 1 / rate)

    def level(low: float, high: float) -> float:
        return 10 * np.log10(spectrum[(frequency > low) & (frequency < high)].mean())

    # Byrne et al., JASA 96 (1994), table II: the long-term average of speech is 10 to 20 dB lower at 2.5 kHz.
    assert 8 < level(300, 700) - level(2000, 3000) < 30
    assert spectrum[frequency > 3400].sum() < 1e-6 * spectrum.sum()


def test_music_is_made_of_few_lines_and_speech_noise_is_not() -> None:
    def flatness(wave: np.ndarray) -> float:
        spectrum = np.abs(np.fft.rfft(wave * np.hanning(AUDIO_LENGTH)))[:, 10:400] ** 2 + 1e-12
        return float(np.median(np.exp(np.log(spectrum).mean(1)) / spectrum.mean(1)))

    assert flatness(messages(True)[0]) < 0.1
    assert flatness(messages(False, voiced_share=0.0)[0]) > 0.3


def test_harmonics_is_the_sum_it_claims_to_be() -> None:
    cycles, decay = torch.linspace(0, 2, 57, dtype=torch.float64)[None], torch.tensor([0.7], dtype=torch.float64)
    order = torch.arange(1, 200, dtype=torch.float64)[:, None]
    wanted = (0.7**order * torch.cos(2 * np.pi * order * cycles)).sum(0) * 0.3
    torch.testing.assert_close(harmonics(cycles, decay)[0], wanted)
