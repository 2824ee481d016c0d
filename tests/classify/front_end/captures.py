"""Captures of several signals in noise, whose places and parameters are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bacalhaunet.radio.constellations import constellation
from bacalhaunet.radio.pulses import pulse

LINEAR = (
    *("OOK", "4ASK", "8ASK", "BPSK", "QPSK", "8PSK", "16PSK", "32PSK", "16APSK", "32APSK", "64APSK", "128APSK"),
    *("16QAM", "32QAM", "64QAM", "128QAM", "256QAM"),
)
HALF_SPAN = 10
STEPS = 64


@dataclass(frozen=True)
class Truth:
    """A signal that was put into a capture; frequencies in cycles a sample, SNR in its band (1 + roll-off) R."""

    name: str
    start: int
    stop: int
    center: float
    symbol_rate: float
    roll_off: float
    snr_db: float

    @property
    def bandwidth(self):
        return (1 + self.roll_off) * self.symbol_rate


@lru_cache
def pulse_table(roll_off, cascaded):
    """The pulse at 64 steps a symbol, to be read by linear interpolation: 60 dB and more."""
    return pulse(np.arange(-HALF_SPAN * STEPS, HALF_SPAN * STEPS + 2) / STEPS, roll_off, cascaded)


def linear_signal(name, count, samples_per_symbol, roll_off, generator, cascaded=1.0):
    """Unit power, complex128 (count,): random symbols, random timing, any number of samples a symbol."""
    points = constellation(name)
    total = int(count / samples_per_symbol) + 2 * HALF_SPAN + 2
    values = points[generator.integers(len(points), size=total)] / np.sqrt(np.mean(np.abs(points) ** 2))
    table = pulse_table(roll_off, cascaded)
    time = np.arange(count) / samples_per_symbol + generator.uniform()
    whole = np.floor(time).astype(np.int64)
    out = np.zeros(count, np.complex128)
    for k in range(-HALF_SPAN + 1, HALF_SPAN + 1):
        place = (time - whole - k + HALF_SPAN) * STEPS
        index = place.astype(np.int64)
        part = place - index
        out += values[whole + k + HALF_SPAN] * (table[index] * (1 - part) + table[index + 1] * part)
    return out / np.sqrt(np.mean(np.abs(table) ** 2) * 2 * HALF_SPAN)


def capture(
    generator,
    *,
    length=1 << 18,
    signals=5,
    names=LINEAR,
    snr_db=(10, 30),
    frames=(3, 8),
    cascaded=1.0,
    roll_off=(0.2, 0.5),
    samples_per_symbol=(4, 32),
):
    """Noise of a random level and up to ``signals`` signals apart in time or in frequency, with noise between.

    Each lasts 1024 to 2048 times ``frames`` symbol eighths. Returns complex64 (length,) and the truths.
    """
    noise = 10 ** generator.uniform(-4, 1)
    samples = (generator.standard_normal((length, 2)) @ [1, 1j]) * np.sqrt(noise / 2)
    truths = []
    for _ in range(20 * signals):
        if len(truths) == signals:
            break
        rate = 1 / np.exp(generator.uniform(*np.log(samples_per_symbol)))
        count = int(generator.uniform(*frames) * 1024 / 8 / rate)
        roll = round(20 * generator.uniform(*roll_off)) / 20  # few tables to make
        room = 0.49 - (1 + roll) * rate / 2
        if count > length - 8192:
            continue
        start = int(generator.integers(4096, length - count - 4096))
        one = Truth(
            str(generator.choice(names)),
            start,
            start + count,
            generator.uniform(-room, room),
            rate,
            roll,
            generator.uniform(*snr_db),
        )
        if all(apart(one, other) for other in truths):
            truths.append(one)
    for one in truths:
        signal = linear_signal(one.name, one.stop - one.start, 1 / one.symbol_rate, one.roll_off, generator, cascaded)
        phase = 2 * np.pi * (one.center * np.arange(len(signal)) + generator.uniform())
        power = noise * one.bandwidth * 10 ** (one.snr_db / 10)
        samples[one.start : one.stop] += np.sqrt(power) * signal * np.exp(1j * phase)
    return samples.astype(np.complex64), truths


def apart(one, other, time=4096, band=0.02):
    """Whether 4096 samples, or 2 % of the sample rate, of noise lie between two signals."""
    early, late = sorted((one, other), key=lambda signal: signal.start)
    gap = abs(one.center - other.center) - (one.bandwidth + other.bandwidth) / 2
    return late.start - early.stop > time or gap > band


def matched(found, truths):
    """Pairs (signal, truth): each found signal with at most one truth of which it holds half, time and band both."""
    pairs, left = [], list(truths)
    for signal in found:
        for truth in left:
            tall = min(signal.stop, truth.stop) - max(signal.start, truth.start)
            wide = min(signal.center + signal.bandwidth / 2, truth.center + truth.bandwidth / 2) - max(
                signal.center - signal.bandwidth / 2, truth.center - truth.bandwidth / 2
            )
            if tall > 0.5 * max(truth.stop - truth.start, signal.stop - signal.start) and wide > 0.5 * max(
                truth.bandwidth, signal.bandwidth
            ):
                pairs.append((signal, truth))
                left.remove(truth)
                break
    return pairs
