"""GMSK and offset QPSK get their symbol rate and carrier; signals of other kinds get none from the square."""

import numpy as np
import pytest

from bacalhaunet.classify.front_end.signals import find_signals
from bacalhaunet.classify.front_end.symbol_rate import offset_lines
from bacalhaunet.data.recordings.recording import recording_of
from tests.classify.front_end.offset_signals import gmsk, offset_qpsk

pytest.importorskip("scipy", reason="needs scipy")

KINDS = {"GMSK": gmsk, "OQPSK": offset_qpsk}


def noise(count, generator):
    return generator.standard_normal((count, 2)) @ [1, 1j] / np.sqrt(2)


@pytest.mark.parametrize("name", KINDS)
def test_symbol_rate_within_1_percent_and_carrier_within_2_percent_of_the_band(name):
    good = 0
    cases = [(period, snr_db) for period in (4, 6, 10, 16, 32) for snr_db in (10, 20, 30)]
    for period, snr_db in cases:
        generator = np.random.default_rng([period, snr_db])
        count, center = 1500 * period, generator.uniform(-0.3, 0.3)
        samples = noise(count + 20_000, generator)
        turn = np.exp(2j * np.pi * center * np.arange(count))
        power = 1.3 / period * 10 ** (snr_db / 10)
        samples[10_000 : 10_000 + count] += np.sqrt(power) * KINDS[name](count, period, generator) * turn
        (found,) = find_signals(recording_of(samples.astype(np.complex64)))
        rate = found.symbol_rate is not None and abs(found.symbol_rate * period - 1) < 0.01
        good += rate and abs(found.center - center) * period < 0.02 * 1.3
    assert good >= 0.9 * len(cases)


@pytest.mark.parametrize("kind", ["noise", "BPSK", "carrier", "AM"])
def test_signals_of_other_kinds_get_no_symbol_rate_from_the_square(kind):
    for seed in range(5):
        generator = np.random.default_rng(seed)
        samples = noise(20_000, generator) * (1 if kind == "noise" else 0.05)
        if kind == "BPSK":
            samples += offset_qpsk(20_000, 6, generator).real
        if kind == "carrier":
            samples += np.exp(2j * np.pi * 0.01 * np.arange(20_000))
        if kind == "AM":
            message = np.convolve(generator.standard_normal(20_000), np.ones(40) / 40, "same")
            samples += 1 + 2 * message
        assert offset_lines(samples.astype(np.complex64), 0.25) is None
