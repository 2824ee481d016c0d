"""GMSK and offset QPSK of any symbol rate, whose squared envelope has no line at the symbol rate."""

import math

import numpy as np

HALF_SPAN = 10


def gmsk(count, period, generator, bandwidth_time=0.3):
    """Unit power, complex (count,): MSK of Gaussian-filtered bits (3GPP TS 45.004), ``period`` whole samples a bit."""
    time = np.arange(-4 * period, 4 * period + 1) / period
    slope = np.pi * bandwidth_time * math.sqrt(2 / math.log(2))
    taps = np.array([math.erf(slope * (one + 0.5)) - math.erf(slope * (one - 0.5)) for one in time])
    frequency = np.convolve(_train(count, period, generator), taps / taps.sum())
    return np.exp(0.5j * np.pi * np.cumsum(frequency))[HALF_SPAN * period :][:count]


def offset_qpsk(count, period, generator, roll_off=0.35):
    """Unit power, complex (count,): root-raised-cosine pulses, Q half a symbol late; ``period`` is even."""
    frequency = np.abs(np.fft.fftfreq(2 * HALF_SPAN * period, 1 / period))
    edge = np.clip((frequency - (1 - roll_off) / 2) / roll_off, 0, 1)
    taps = np.fft.fftshift(np.fft.ifft(np.sqrt(0.5 + 0.5 * np.cos(np.pi * edge))).real)
    in_phase, quadrature = (np.convolve(_train(count, period, generator), taps) for _ in range(2))
    samples = (in_phase[period // 2 :] + 1j * quadrature[: -(period // 2)])[HALF_SPAN * period :][:count]
    return samples / np.sqrt(np.mean(np.abs(samples) ** 2))


def _train(count, period, generator):
    train = np.zeros((count // period + 2 * HALF_SPAN + 2) * period)
    train[::period] = generator.choice([-1.0, 1.0], len(train) // period)
    return train
