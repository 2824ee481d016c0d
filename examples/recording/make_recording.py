"""Make a recording of six signals in noise: SigMF, 1 Msamples/s, 433.92 MHz, half a second.

    python make_recording.py [capture.sigmf-meta]

The truth is written as annotations into a second file, truth.sigmf-meta, for comparison.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.recordings.sigmf_writer import Annotation, write_sigmf
from bacalhaunet.radio.constellations import constellation

RATE, FREQUENCY, COUNT = 1e6, 433.92e6, 500_000
ROLL_OFF = 0.4

# Modulation, first sample, length, place in the band (cycles a sample), samples a symbol, SNR in the band in dB.
SIGNALS = [
    ("QPSK", 20_000, 430_000, -0.36, 8, 22),
    ("16QAM", 60_000, 380_000, -0.14, 10, 28),
    ("BPSK", 30_000, 120_000, 0.04, 12, 16),
    ("8PSK", 210_000, 220_000, 0.09, 6, 24),
    ("OOK", 40_000, 160_000, 0.30, 20, 18),
    ("GMSK", 260_000, 200_000, 0.34, 9, 20),
]


def pulse(period: int) -> NDArray[np.float64]:
    """Three root-raised-cosine filters in a row, as RadioML's signals went through: taps over 20 symbols."""
    frequency = np.abs(np.fft.fftfreq(20 * period, 1 / period))
    edge = np.clip((frequency - (1 - ROLL_OFF) / 2) / ROLL_OFF, 0, 1)
    taps = np.fft.fftshift(np.fft.ifft((0.5 + 0.5 * np.cos(np.pi * edge)) ** 1.5).real)
    return taps / np.sqrt(np.sum(taps**2))


def modulated(name: str, count: int, period: int, generator: np.random.Generator) -> NDArray[np.complex128]:
    """Return a signal of unit power about zero frequency, complex (count,)."""
    number = count // period + 21
    train = np.zeros(number * period, complex)
    if name == "GMSK":
        train[::period] = generator.choice([-1.0, 1.0], number)
        frequency = np.convolve(train.real, pulse(period) / pulse(period).sum())  # a bit turns the phase by 90 degrees
        samples = np.exp(0.5j * np.pi * np.cumsum(frequency))
    else:
        train[::period] = generator.choice(constellation(name), number)
        samples = np.convolve(train, pulse(period))
    samples = samples[10 * period : 10 * period + count]
    return samples / np.sqrt(np.mean(np.abs(samples) ** 2))


def main() -> None:
    """Make it."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "capture.sigmf-meta")
    generator = np.random.default_rng(2018)
    samples = generator.standard_normal((COUNT, 2)) @ [1, 1j] * 0.02
    noise, notes = 2 * 0.02**2, []
    for name, start, count, center, period, snr_db in SIGNALS:
        width = (1 + ROLL_OFF) / period
        amplitude = np.sqrt(noise * width * 10 ** (snr_db / 10))
        turn = np.exp(2j * np.pi * (center * np.arange(count) + generator.uniform()))
        samples[start : start + count] += amplitude * modulated(name, count, period, generator) * turn
        edges = [FREQUENCY + RATE * (center + side * width / 2) for side in (-1, 1)]
        notes.append(Annotation(start, count, name, f"SNR {snr_db} dB", *edges))
    samples = samples.astype(np.complex64)
    write_sigmf(path, samples, RATE, frequency=FREQUENCY)
    write_sigmf(path.with_name("truth.sigmf-meta"), samples, RATE, frequency=FREQUENCY, annotations=notes)
    print(f"{path}: {COUNT} samples, {len(SIGNALS)} signals")


if __name__ == "__main__":
    main()
