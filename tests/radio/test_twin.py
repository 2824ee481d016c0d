"""The twin, class by class: SNR, bandwidth, constellation, envelope, scale; and frames that depend on their name."""

import math
from functools import lru_cache

import numpy as np
import pytest
import torch

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.channel import mean_amplitude, signal_to_noise_db
from bacalhaunet.radio.constellations import constellation
from bacalhaunet.radio.modulations import FRAME_LENGTH, MODULATIONS, NAMES, by_name
from bacalhaunet.radio.profiles import make_source
from bacalhaunet.radio.pulses import pulse, raised_cosine_response
from bacalhaunet.radio.random_streams import FrameStreams
from bacalhaunet.radio.twin import Twin
from bacalhaunet.radio.twin_config import TwinConfig
from bacalhaunet.radio.waveforms import STREAM_SYMBOLS, STREAM_TIMING, WAVEFORMS, linear

LINEAR = [m.name for m in MODULATIONS if WAVEFORMS[m.label] is linear]
ZERO_MEAN = [name for name in LINEAR if "ASK" not in name and name != "OOK"]
CONSTANT = ["FM", "GMSK"]


def frames(name, snr_db, count=64, *, seed=3, first=0, config=None):
    index = torch.arange(first, first + count)
    label = torch.full((count,), by_name(name).label)
    return Twin(config).frames(label, torch.full((count,), float(snr_db)), index, seed=seed)


def clean_blocks(name, count=32, config=None, seed=5):
    label = torch.full((count,), by_name(name).label)
    streams = FrameStreams(seed, label, torch.zeros(count), torch.arange(count))
    return WAVEFORMS[by_name(name).label](config or TwinConfig(), streams, label)


def as_complex(values):
    return (values[:, 0] + 1j * values[:, 1]).numpy().astype(np.complex128)


def spectrum(samples):
    window = np.hanning(samples.shape[1])
    return (np.abs(np.fft.fft(samples * window, axis=1)) ** 2).mean(0) / (window**2).sum()


@pytest.mark.parametrize("name", LINEAR)
def test_measured_snr_is_twice_the_label_plus_the_power_at_unit_amplitude(name):
    label = 5
    power = spectrum(as_complex(frames(name, label, 64)))
    frequency = np.abs(np.fft.fftfreq(FRAME_LENGTH))
    density = power[frequency > 0.15].mean()
    signal = (power[frequency < 0.1] - density).mean() * (frequency < 0.1).mean()
    amplitude, power = mean_amplitude(clean_blocks(name, 64))
    expected = float(signal_to_noise_db(torch.tensor(label))) + 10 * math.log10((power.mean(1) / amplitude**2).mean())
    assert 10 * math.log10(signal / density) == pytest.approx(expected, abs=0.35)


def test_linear_blocks_have_the_power_of_their_constellation_and_pulse():
    for name in LINEAR:
        points = constellation(name)
        # The pulse has unit energy, so a constant, the mean of ASK, passes with more than unit gain.
        expected = points.var() + abs(points.mean()) ** 2 / pulse_energy()
        assert float(clean_blocks(name, 128).pow(2).sum(1).mean()) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("name", ["AM-SSB-WC", "AM-SSB-SC", "AM-DSB-WC", "AM-DSB-SC", "FM", "GMSK"])
def test_the_other_classes_have_unit_power_before_noise(name):
    power = clean_blocks(name, 128).pow(2).sum(1).mean()
    assert float(power) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("name", LINEAR)
def test_linear_classes_fill_the_band_of_their_roll_off(name):
    blocks = as_complex(clean_blocks(name))
    power = spectrum(blocks - blocks.mean())
    frequency = np.abs(np.fft.fftfreq(blocks.shape[1]))
    edge = (1 + TwinConfig().roll_off) / 2 / 8
    assert power[frequency > edge + 0.004].sum() < 1e-4 * power.sum()
    assert power[frequency < 0.5 / 8 * 0.9].mean() > 20 * power[np.abs(frequency - edge) < 0.004].mean()


@lru_cache
def receiver(delay, half_span=10, samples=1024):
    """Least-squares receiver: from samples to symbols, for the twin's pulse in unit-energy scale; and its symbols."""
    symbols = np.arange(-half_span, samples // 8 + half_span)
    config = TwinConfig()
    time = (np.arange(samples)[:, None] - 8 * symbols[None, :] - delay) / 8
    forward = np.where(np.abs(time) <= half_span, pulse(time, config.roll_off, config.cascaded_filters), 0)
    forward /= math.sqrt(pulse_energy())
    inner = (symbols >= 12) & (symbols < samples // 8 - 12)
    gram = forward.T @ forward + 1e-9 * np.eye(len(symbols))
    return np.linalg.solve(gram, forward.T)[inner]


def pulse_energy():
    """Integral of RC(f)^3: the energy of the pulse whose response at DC is one."""
    frequency = np.linspace(-1, 1, 20001)
    config = TwinConfig()
    return np.trapezoid(raised_cosine_response(frequency, config.roll_off) ** config.cascaded_filters, frequency)


@pytest.mark.parametrize("name", LINEAR)
def test_a_receiver_that_knows_the_pulse_finds_the_constellation(name):
    blocks = as_complex(clean_blocks(name, 6, TwinConfig(timing_fraction=0.0)))
    label = torch.full((6,), by_name(name).label)
    delays = FrameStreams(5, label, torch.zeros(6), torch.arange(6)).integers(STREAM_TIMING, 1, 8).view(-1).tolist()
    points, late = constellation(name), 4 if name == "OQPSK" else 0
    gap = np.abs(points[:, None] - points[None, :])[~np.eye(len(points), dtype=bool)].min()
    for block, delay in zip(blocks, delays, strict=True):
        found = receiver(delay) @ block.real[:1024] + 1j * (receiver(delay) @ block.imag[late : 1024 + late])
        assert np.abs(_nearest(found, points) - found).max() < 0.02 * gap + 2e-3


def _nearest(values, points):
    return points[np.abs(values[:, None] - points[None, :]).argmin(1)]


@pytest.mark.parametrize("name", CONSTANT)
def test_angle_modulation_has_a_constant_envelope(name):
    envelope = np.abs(as_complex(clean_blocks(name)))
    assert envelope.min() > 1 - 1e-5
    assert envelope.max() < 1 + 1e-5
    received = np.abs(as_complex(frames(name, 30)))
    assert (received.std(1) / received.mean(1)).max() < 0.01


def test_gmsk_turns_by_the_modulation_index_in_a_bit():
    config, label = TwinConfig(), torch.full((64,), by_name("GMSK").label)
    phase = np.unwrap(np.angle(as_complex(clean_blocks("GMSK", 64))), axis=1)
    drawn = FrameStreams(5, label, torch.zeros(64), torch.arange(64)).uniform(STREAM_SYMBOLS, 256 + 20)
    bits = np.where(drawn.numpy() < 0.5, 1, -1)[:, 10:-10].sum(1)
    slope = np.polyfit(bits, (phase[:, -1] - phase[:, 0]) / math.pi, 1)[0]
    assert slope == pytest.approx(config.gmsk_index, rel=0.02)


@pytest.mark.parametrize(("name", "frequency"), [("FM", 0.03), ("AM-DSB-WC", 0.0302), ("AM-DSB-SC", 0.0302)])
def test_tones_lie_where_the_config_says(name, frequency):
    power = spectrum(as_complex(clean_blocks(name)))
    peak = np.fft.fftfreq(len(power))[power.argmax()]
    assert abs(peak) == pytest.approx(frequency, abs=0.001)
    mirrored = power[-power.argmax()] / power.max()
    assert mirrored > 0.5 if name.startswith("AM") else mirrored < 0.01


@pytest.mark.parametrize("name", ZERO_MEAN + CONSTANT + ["AM-DSB-WC", "AM-DSB-SC"])
@pytest.mark.parametrize("snr_db", [-20, 30])
def test_zero_mean_classes_have_mean_power_one_and_frames_that_float(name, snr_db):
    power = frames(name, snr_db, 128).pow(2).sum(1).mean(1)
    assert float(power.mean()) == pytest.approx(1.0, abs=0.02)
    if name in ZERO_MEAN and snr_db == 30:
        assert 0.005 < float(power.std()) < 0.08


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_depends_on_its_name_alone(name):
    whole = frames(name, 6, 70)
    assert torch.isfinite(whole).all()
    assert torch.equal(frames(name, 6, 1, first=69), whole[69:])
    assert torch.equal(frames(name, 6, 33, first=20), whole[20:53])


def test_batch_order_mixture_and_threads_do_not_matter():
    count = 24 * 6
    label, snr = torch.arange(count) % 24, (torch.arange(count) * 2 % 52 - 20).float()
    index = torch.arange(count) // 24
    expected = Twin().frames(label, snr, index, seed=1)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(2))
    assert torch.equal(Twin().frames(label[shuffled], snr[shuffled], index[shuffled], seed=1), expected[shuffled])
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(Twin().frames(label, snr, index, seed=1), expected)
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", NAMES)
def test_frames_seeds_and_snrs_are_independent(name):
    base = as_complex(frames(name, -20, 32))
    others = [frames(name, -20, 32, first=32), frames(name, -20, 32, seed=4), frames(name, -18, 32)]
    for other in map(as_complex, others):
        correlation = np.abs((base * other.conj()).mean(1)) * math.sqrt(FRAME_LENGTH)
        assert correlation.max() < 4.5  # Rayleigh: 1e-9 a frame
        assert (correlation**2).mean() < 2.2


def test_the_settings_change_the_signal():
    wide = as_complex(frames("QPSK", 30, config=TwinConfig(roll_off=0.9)))
    narrow = as_complex(frames("QPSK", 30))
    band = np.abs(np.fft.fftfreq(FRAME_LENGTH)) > 0.09
    assert spectrum(wide)[band].sum() > 10 * spectrum(narrow)[band].sum()


def test_an_empty_batch_gives_no_frames():
    empty = torch.empty(0, dtype=torch.int64)
    assert Twin().frames(empty, empty.float(), empty, seed=0).shape == (0, 2, FRAME_LENGTH)


def test_unusable_arguments_are_named():
    one = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ConfigError, match="24"):
        Twin().frames(one + 24, one.float(), one, seed=0)
    with pytest.raises(ConfigError, match="shapes"):
        Twin().frames(one, torch.zeros(2), one, seed=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"roll_off": math.nan},
        {"roll_off": 0.0},
        {"block_length": 1000},
        {"block_length": 2050},
        {"rings_32apsk": (1.0, 2.0)},
        {"fm_deviation": -0.1},
        {"message_bandwidth": 0.1},
    ],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        TwinConfig(**bad)


def test_profiles_by_name():
    assert isinstance(make_source("twin", roll_off=0.3), Twin)
    assert make_source().classes.names == NAMES
    assert make_source("field").classes.names == NAMES
    with pytest.raises(ConfigError, match="moon"):
        make_source("moon")
    with pytest.raises(ConfigError, match="colour"):
        make_source("twin", colour=1)
