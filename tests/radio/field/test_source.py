"""The field profile as a frame source: names, batches, power, in-band SNR, noise class, settings."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.field.config import (
    AnalogConfig,
    AudioConfig,
    DigitalConfig,
    FadingConfig,
    FieldConfig,
    ReceiverConfig,
)
from bacalhaunet.radio.field.source import Field
from bacalhaunet.radio.modulations import NAMES

SEED = 7


def names_of_a_mixed_batch(count: int = 75) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    number = torch.arange(count)
    return number * 7 % 25, (number * 2 % 51 - 20).float(), number // 5


@pytest.fixture(scope="module")
def source() -> Field:
    return Field(FieldConfig(noise_class=True))


def test_a_frame_does_not_depend_on_the_batch_it_is_in(source: Field) -> None:
    labels, snrs, index = names_of_a_mixed_batch()
    whole = source.frames(labels, snrs, index, seed=SEED)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    assert torch.equal(source.frames(labels[order], snrs[order], index[order], seed=SEED), whole[order])
    for row in (0, 31, 74):
        one = slice(row, row + 1)
        assert torch.equal(source.frames(labels[one], snrs[one], index[one], seed=SEED)[0], whole[row])


def test_a_frame_does_not_depend_on_the_number_of_threads(source: Field) -> None:
    labels, snrs, index = names_of_a_mixed_batch()
    before = torch.get_num_threads()
    made = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            made.append(source.frames(labels, snrs, index, seed=SEED))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*made)


def test_seed_class_snr_and_index_each_name_another_frame(source: Field) -> None:
    def frame(label: int = 4, snr: float = 10.0, index: int = 3, seed: int = SEED) -> torch.Tensor:
        return source.frames(torch.tensor([label]), torch.tensor([snr]), torch.tensor([index]), seed=seed)

    assert torch.equal(frame(), frame())
    for other in (frame(label=5), frame(snr=12.0), frame(index=4), frame(seed=8)):
        correlation = (other * frame()).sum() / 1024
        assert correlation.abs() < 0.25


def test_every_frame_has_unit_power_and_finite_samples(source: Field) -> None:
    frames = source.frames(*names_of_a_mixed_batch(300), seed=SEED)
    assert torch.isfinite(frames).all()
    torch.testing.assert_close(frames.square().sum((1, 2)) / 1024, torch.ones(300))


def test_an_empty_batch_gives_an_empty_batch(source: Field) -> None:
    empty = torch.zeros(0, dtype=torch.int64)
    assert source.frames(empty, empty.float(), empty, seed=SEED).shape == (0, 2, 1024)


def test_explained_frames_are_the_frames(source: Field) -> None:
    labels, snrs, index = torch.full((20,), 23), torch.full((20,), 4.0), torch.arange(5, 25)
    explained = source.explained("OQPSK", 4.0, 20, seed=SEED, first=5)
    assert torch.equal(explained.frames, source.frames(labels, snrs, index, seed=SEED))


def transparent(**changes: object) -> ReceiverConfig:
    """A receiver that adds nothing but noise and an arbitrary constant phase."""
    return replace(FieldConfig.clean().receiver, **changes)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("snr_db", [-6, 12])
def test_in_band_snr_is_the_label_in_every_class_and_channel(name: str, snr_db: int) -> None:
    source = Field(FieldConfig(receiver=transparent()))
    made = source.explained(name, snr_db, 192, seed=SEED)
    x, s = torch.complex(made.frames[:, 0], made.frames[:, 1]), made.received
    gain = (s.conj() * x).sum(1, keepdim=True) / (s.conj() * s).sum(1, keepdim=True)
    noise_density = (x - gain * s).abs().square().mean(1)  # per cycle a sample
    # The signal's power is 1 over the block and nearly so over the frame; the noise is measured against the block's.
    # The fitted gain carries 1/1024 of the noise's power itself.
    power = gain[:, 0].abs().square() - noise_density / (s.conj() * s).sum(1).real
    in_band = power / (noise_density * made.truth["bandwidth"])
    assert abs(10 * torch.log10(in_band.mean()).item() - snr_db) < 0.35  # standard error 0.08 dB at -6 dB


def test_noise_class_is_label_24_gaussian_and_white_behind_an_open_filter() -> None:
    source = Field(FieldConfig(noise_class=True, receiver=transparent()))
    assert source.classes.names == (*NAMES, "noise")
    frames = source.explained("noise", 30, 64, seed=SEED).frames
    kurtosis = frames.pow(4).mean() / frames.square().mean() ** 2
    assert abs(kurtosis.item() - 3) < 0.1
    spectrum = torch.fft.fft(torch.complex(frames[:, 0], frames[:, 1])).abs().square().mean(0)
    bands = spectrum.view(16, 64).mean(1)
    assert (bands / bands.mean() - 1).abs().max() < 0.08


def test_label_24_without_the_noise_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="noise_class"):
        Field().frames(torch.tensor([24]), torch.tensor([0.0]), torch.tensor([0]), seed=SEED)


@pytest.mark.parametrize(
    "config",
    [
        FieldConfig(digital=DigitalConfig(rolloff=(0.5, 0.1))),
        FieldConfig(digital=DigitalConfig(rolloff=(0.0, 0.1))),
        FieldConfig(digital=DigitalConfig(locked_share=1.5)),
        FieldConfig(digital=DigitalConfig(samples_per_symbol_range=(2.0, 8.0))),
        FieldConfig(digital=DigitalConfig(rate_error=float("nan"))),
        FieldConfig(fading=FadingConfig(rician_share=0.7, rayleigh_share=0.7)),
        FieldConfig(fading=FadingConfig(profiles=("ETU", "NONE"))),
        FieldConfig(fading=FadingConfig(profiles=())),
        FieldConfig(analog=AnalogConfig(fm_services=())),
    ],
)
def test_settings_that_cannot_be_used_are_refused(config: FieldConfig) -> None:
    with pytest.raises(ConfigError):
        Field(config)


def test_every_parameter_is_in_the_page_about_the_field_profile() -> None:
    page = (Path(__file__).parents[3] / "docs" / "field.md").read_text()
    for part in (DigitalConfig, AudioConfig, AnalogConfig, FadingConfig, ReceiverConfig):
        missing = [item.name for item in fields(part) if f"`{item.name}`" not in page]
        assert not missing, f"{part.__name__}: {missing}"
