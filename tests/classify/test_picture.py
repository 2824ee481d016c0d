"""Pictures show every signal where it is, and symbols as points of the plane."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from bacalhaunet.classify.front_end.constellation import root_raised_cosine, signal_points
from bacalhaunet.classify.front_end.signals import find_signals
from bacalhaunet.classify.picture import Box, check_picture, write_picture
from bacalhaunet.data.recordings.recording import Capture, Recording, recording_of
from bacalhaunet.errors import ConfigError, MissingExtraError
from tests.classify.front_end.captures import linear_signal

pytest.importorskip("scipy", reason="needs scipy")
pytest.importorskip("matplotlib", reason="needs matplotlib")


def noise(count, level=0.05):
    return np.random.default_rng(1).standard_normal((count, 2)) @ [level, 1j * level]


def one_signal(name, period=8.0, roll_off=0.35, cascaded=1.0):
    samples = noise(80_000)
    signal = linear_signal(name, 60_000, period, roll_off, np.random.default_rng(2), cascaded)
    samples[10_000:70_000] += signal * np.exp(2j * np.pi * 0.11 * np.arange(60_000))
    recording = recording_of(samples.astype(np.complex64))
    (found,) = find_signals(recording)
    return recording, found


def known(recording, rate=1e6, frequency=None):
    captures = () if frequency is None else (Capture(0, frequency),)
    return Recording(recording.path, recording.store, rate, captures)


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_picture_is_of_the_kind_its_name_says(tmp_path, ending):
    path = tmp_path / f"picture{ending}"
    write_picture(path, recording_of(noise(30_000).astype(np.complex64)), [], "noise")
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert path.read_bytes().startswith(begins[ending])
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_every_signal_is_named_and_those_with_points_twice(tmp_path):
    points = np.ones(10, np.complex64)
    boxes = [
        Box(1000, 9000, -0.3, -0.2, "QPSK", "99 %", points),
        Box(5000, 20_000, 0.1, 0.2, "cost $x$", "$", points),
        Box(25_000, 29_000, 0.45, 0.49, "FM"),
    ]
    write_picture(tmp_path / "p.svg", known(recording_of(noise(30_000).astype(np.complex64))), boxes, "three signals")
    texts = [one.text for one in ElementTree.parse(tmp_path / "p.svg").iter() if one.tag.endswith("}text")]
    assert [texts.count(word) for word in ("QPSK", "cost $x$", "FM", "99 %", "three signals")] == [2, 2, 1, 1, 1]
    assert {"time, ms", "frequency, MHz"} <= set(texts)


@pytest.mark.parametrize(
    ("rate", "frequency", "words"),
    [(None, None, "frequency, cycles a sample"), (2e3, None, "frequency, kHz"), (1e6, 1e8, "frequency, MHz")],
)
def test_frequencies_are_those_on_the_air_where_they_are_known(tmp_path, rate, frequency, words):
    recording = known(recording_of(noise(5000).astype(np.complex64)), rate, frequency)
    write_picture(tmp_path / "p.svg", recording, [], "")
    texts = [one.text for one in ElementTree.parse(tmp_path / "p.svg").iter() if one.tag.endswith("}text")]
    assert words in texts
    if frequency:
        assert "100.0" in texts


def test_pictures_that_cannot_be_are_refused_before_anything_is_computed(tmp_path, monkeypatch):
    recording = recording_of(noise(5000).astype(np.complex64))
    with pytest.raises(ConfigError, match=r"(?s)\.jpg.*\.png, \.svg"):
        check_picture(tmp_path / "p.jpg", recording)
    with pytest.raises(ConfigError, match="too short"):
        check_picture(tmp_path / "p.png", recording_of(np.ones(100, np.complex64)))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[pictures\]'"):
        check_picture(tmp_path / "p.png", recording)


@pytest.mark.parametrize(("name", "power"), [("BPSK", 2), ("QPSK", 4), ("8PSK", 8)])
def test_symbols_of_psk_stand_at_its_phases(name, power):
    points = signal_points(*one_signal(name))
    assert 500 < len(points) <= 1024
    wanted = -1 if power == 4 else 1
    assert abs(np.mean(np.exp(1j * power * np.angle(points))) - wanted) < 0.3
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1, rel=1e-3)


def test_symbols_of_16qam_stand_on_its_grid():
    points = signal_points(*one_signal("16QAM")) * np.sqrt(10)
    for values in (points.real, points.imag):
        off = np.abs(values - (2 * np.clip(np.round((values - 1) / 2), -2, 1) + 1))
        assert np.median(off) < 0.3


def test_a_signal_without_symbols_gives_samples():
    recording, found = one_signal("QPSK")
    analog = type(found)(found.start, found.stop, found.center, found.bandwidth)
    assert 500 < len(signal_points(recording, analog)) < 2100


@pytest.mark.parametrize("period", [4.0, 7.3, 8.0])
@pytest.mark.parametrize("roll_off", [0.1, 0.25, 0.35, 1.0])
def test_two_root_raised_cosine_filters_leave_other_symbols_alone(period, roll_off):
    taps = root_raised_cosine(period, roll_off)
    assert np.isfinite(taps).all()
    assert np.sum(taps**2) == pytest.approx(1)
    both, middle = np.convolve(taps, taps), len(taps) - 1
    others = np.interp(middle + period * np.arange(1, 5), np.arange(len(both)), both)
    assert np.abs(others).max() < (0.06 if roll_off == 0.1 or period != round(period) else 0.02)
