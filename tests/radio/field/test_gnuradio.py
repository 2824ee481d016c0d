"""The field profile's clean transmitters against GNU Radio's modulators (Debian package gnuradio)."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bacalhaunet.radio.field.config import AnalogConfig, AudioConfig, DigitalConfig, FieldConfig, Service
from bacalhaunet.radio.field.draws import Draws
from bacalhaunet.radio.field.messages import AUDIO_OVERSAMPLING, Messages
from bacalhaunet.radio.field.source import Field
from bacalhaunet.radio.random_streams import FrameStreams

SEED = 21
ROLLOFF, BT = 0.35, 0.3
SCRIPT = Path(__file__).with_name("gnuradio_signals.py")
PYTHON = "/usr/bin/python3"

pytestmark = pytest.mark.skipif(
    not Path(PYTHON).exists()
    or subprocess.run([PYTHON, "-c", "from gnuradio import digital, analog"], capture_output=True).returncode != 0,
    reason="GNU Radio is missing (Debian package gnuradio)",
)

FRAMES = 256
SERVICE = Service("test", (300.0, 3000.0), deviation_hz=5000.0)


def field() -> Field:
    clean = FieldConfig.clean()
    digital = DigitalConfig(8.0, 1.0, 0.0, rolloff=(ROLLOFF, ROLLOFF), gmsk_bt=(BT, BT))
    analog = AnalogConfig(
        bandwidth_spread=0.0,
        modulation=(1.0, 1.0),
        am_services=(SERVICE,),
        ssb_services=(SERVICE,),
        fm_services=(SERVICE,),
        upper_share=1.0,
        carrier_tuned_share=1.0,
    )
    return Field(replace(clean, digital=digital, analog=analog, audio=AudioConfig(pause_share=0.0)))


def ours(name: str) -> np.ndarray:
    """Frames of a class at unit power: (FRAMES, 1024)."""
    return field().explained(name, 60, FRAMES, seed=SEED).received.numpy()


def audio(sample_rate: float, length: int = 200_000) -> np.ndarray:
    """A long message of the same voices: messages one after another, faded at their joints, at ``sample_rate``."""
    index = torch.arange(2000)
    draws = Draws(FrameStreams(SEED + 1, torch.full_like(index, 19), torch.zeros(len(index)), index))
    low, high = torch.full((len(index),), 300.0), torch.full((len(index),), 3000.0)
    messages = Messages(AudioConfig(), torch.device("cpu"))
    spectrum = messages.spectra(low, high, torch.zeros(len(index), dtype=torch.bool), torch.zeros(len(index)), draws)
    parts = []
    points = round(1024 * sample_rate / (3000 * AUDIO_OVERSAMPLING))
    for row in torch.fft.irfft(spectrum, n=points).numpy():
        middle = row[points // 2 - 512 : points // 2 + 512] / np.abs(row).max()
        parts.append(middle * np.clip(np.minimum(np.arange(1024), np.arange(1024)[::-1]) / 32, 0, 1))
        if sum(map(len, parts)) > length:
            break
    return np.concatenate(parts)[:length].astype(np.float32)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("gnuradio")
    fm_rate, am_rate, ssb_rate = 8 * 2 * (5000.0 + 3000.0), 8 * 2 * 3000.0, 8 * 2700.0
    np.savez(
        folder / "in.npz",
        rolloff=ROLLOFF,
        bt=BT,
        fm_message=audio(fm_rate),
        fm_sensitivity=2 * np.pi * 5000.0 / fm_rate,
        am_message=audio(am_rate),
        am_depth=1.0,
        ssb_message=audio(ssb_rate),
    )
    subprocess.run(
        [PYTHON, SCRIPT, folder / "in.npz", folder / "out.npz"], check=True, capture_output=True, timeout=120
    )
    made = {}
    with np.load(folder / "out.npz") as out:
        for name in out.files:
            samples = out[name][: len(out[name]) // 1024 * 1024].reshape(-1, 1024)
            made[name] = samples / np.sqrt(np.mean(np.abs(samples) ** 2))
    return made


def spectrum(frames: np.ndarray) -> np.ndarray:
    """Mean power spectrum in bands of 4 bins, total 1."""
    power = (np.abs(np.fft.fftshift(np.fft.fft(frames * np.blackman(1024)), axes=1)) ** 2).mean(0)
    return power.reshape(-1, 4).sum(1) / power.sum()


PAIRS = [("BPSK", "bpsk"), ("QPSK", "qpsk"), ("8PSK", "psk8"), ("16QAM", "qam16"), ("GMSK", "gmsk")]


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_spectrum_of_digital_classes_agrees(theirs: dict[str, np.ndarray], name: str, other: str) -> None:
    mine, reference = spectrum(ours(name)), spectrum(theirs[other])
    strong = reference > reference.max() * 10 ** (-25 / 10)
    difference = 10 * np.log10(mine[strong] / reference[strong])
    assert np.abs(difference).max() < 1.2
    assert abs(difference.mean()) < 0.2
    assert mine[~strong].sum() < 2 * reference[~strong].sum() + 1e-3


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_envelope_of_digital_classes_agrees(theirs: dict[str, np.ndarray], name: str, other: str) -> None:
    share = np.linspace(0.02, 0.98, 25)
    mine, reference = np.quantile(np.abs(ours(name)), share), np.quantile(np.abs(theirs[other]), share)
    assert np.abs(mine - reference).max() < 0.03


def symbol_statistics(frames: np.ndarray) -> np.ndarray:
    """|C20|, |C40| and C42 over C21 powers at the instants of largest mean power after a matched filter.

    Cumulants as in Swami and Sadler, IEEE Trans. Commun. 48 (2000).
    """
    time = np.arange(-64, 65) / 8 + 1e-7
    b = ROLLOFF
    above = np.sin(np.pi * time * (1 - b)) + 4 * b * time * np.cos(np.pi * time * (1 + b))
    pulse = above / (np.pi * time * (1 - (4 * b * time) ** 2)) / 8
    rows = []
    for frame in frames:
        filtered = np.convolve(frame, pulse, "valid")
        grid = filtered[: len(filtered) // 8 * 8].reshape(-1, 8)
        fine = np.fft.fft(np.abs(filtered[: len(grid) * 8]) ** 2)[len(grid)]  # the symbol-rate line tells the instant
        instants = np.arange(-np.angle(fine) / (2 * np.pi) * 8 % 8, len(filtered) - 2, 8)
        points = np.interp(instants, np.arange(len(filtered)), filtered.real) + 1j * np.interp(
            instants, np.arange(len(filtered)), filtered.imag
        )
        power = np.mean(np.abs(points) ** 2)
        c20, m40 = np.mean(points**2) / power, np.mean(points**4) / power**2
        rows.append((abs(c20), abs(m40 - 3 * c20**2), np.mean(np.abs(points) ** 4) / power**2 - abs(c20) ** 2 - 2))
    return np.mean(rows, 0)


@pytest.mark.parametrize(("name", "other"), PAIRS[:4])
def test_constellation_statistics_agree(theirs: dict[str, np.ndarray], name: str, other: str) -> None:
    mine, reference = symbol_statistics(ours(name)), symbol_statistics(theirs[other][:180])
    np.testing.assert_allclose(mine, reference, atol=0.06)
    # Their theoretical values (Swami and Sadler, table I).
    wanted = {"BPSK": (1, 2, -2), "QPSK": (0, 1, -1), "8PSK": (0, 0, -1), "16QAM": (0, 0.68, -0.68)}[name]
    np.testing.assert_allclose(mine, wanted, atol=0.15)


def test_gmsk_envelope_is_constant_in_both(theirs: dict[str, np.ndarray]) -> None:
    assert np.abs(theirs["gmsk"]).std() < 1e-3
    assert np.abs(ours("GMSK")).std() < 1e-3


def test_gmsk_phase_steps_agree(theirs: dict[str, np.ndarray]) -> None:
    def turns(frames: np.ndarray) -> np.ndarray:
        step = np.angle(frames[:, 8:] * frames[:, :-8].conj()).ravel()
        return np.searchsorted(np.sort(step), np.linspace(-1.6, 1.6, 33)) / len(step)

    assert np.abs(turns(ours("GMSK")) - turns(theirs["gmsk"])).max() < 0.02


@pytest.mark.parametrize(("name", "other"), [("FM", "fm"), ("AM-DSB-WC", "am"), ("AM-SSB-SC", "ssb")])
def test_bandwidth_of_analog_classes_agrees(theirs: dict[str, np.ndarray], name: str, other: str) -> None:
    def edges(frames: np.ndarray) -> np.ndarray:
        """Frequencies below which 0.5, 5, 95 and 99.5 % of the power lie, on average over frames."""
        power = np.abs(np.fft.fftshift(np.fft.fft(frames * np.blackman(1024)), axes=1)) ** 2
        share = np.cumsum((power / power.sum(1, keepdims=True)).mean(0))
        return np.interp([0.005, 0.05, 0.95, 0.995], share, np.linspace(-0.5, 0.5, 1024, endpoint=False))

    loud = theirs[other][np.mean(np.abs(theirs[other]) ** 2, 1) > 0.3]
    np.testing.assert_allclose(edges(ours(name)), edges(loud), atol=0.015)


def test_envelopes_of_am_and_fm_agree(theirs: dict[str, np.ndarray]) -> None:
    assert np.abs(ours("FM")).std() < 1e-3
    assert np.abs(theirs["fm"]).std() < 1e-3
    share = np.linspace(0.05, 0.95, 10)
    mine = np.quantile(np.abs(ours("AM-DSB-WC")), share)
    assert np.abs(mine - np.quantile(np.abs(theirs["am"]), share)).max() < 0.12
