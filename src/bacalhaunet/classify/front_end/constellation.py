r"""The symbols of a signal as points of the plane, for pictures.

.. math:: y_k e^{-j (2 \pi \hat f k + \hat\phi)}, \qquad \hat\phi = \frac{1}{M} \arg \sum_k |y_k|\, e^{j M \angle y_k}

The signal passes a root-raised-cosine filter, as a receiver's does, is taken at the timing of its squared envelope and
turned back by what is left of its carrier (``symbol_rate.fine_carrier``: the smallest power M that has a line) and by
the phase of the M-th power, which modulation does not move (Viterbi and Viterbi, 1983): so the points stand still from
picture to picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.signals import SAMPLES_PER_SYMBOL, Signal, channel_of
from bacalhaunet.classify.front_end.symbol_rate import fine_carrier, symbols
from bacalhaunet.data.recordings.recording import Recording


def turned(points: NDArray[Any], power: int) -> NDArray[Any]:
    """Return points turned to their reference phase: ASK and BPSK lie along the real axis.

    Args:
        points: Complex (N,), one a symbol, without a carrier.
        power: M, 1 or more.
    """
    turn = np.angle(np.sum(np.abs(points) * np.exp(1j * power * np.angle(points))))
    # The outer points of QPSK and QAM lie on the diagonals: their fourth power is negative.
    turn += np.pi if power == 4 else 0.0
    return np.asarray(points * np.exp(-1j * turn / power))


def scaled(points: NDArray[Any]) -> NDArray[np.complex64]:
    """Return points with a root mean square of 1; those of silence stay zero."""
    size = float(np.sqrt(np.mean(np.abs(points) ** 2))) if len(points) else 0.0
    return np.asarray(points / size if size > 0 else points, np.complex64)


POINTS, LIVE_POINTS = 1024, 384
"""Points of a picture, and of one that is drawn many times a second, at most."""

_FEWEST = 64
"""Samples below which no symbols are looked for."""

_ROLL_OFF = 0.35
_HALF_SPAN = 8


def signal_points(recording: Recording, signal: Signal) -> NDArray[np.complex64]:
    """Return up to 1024 symbols from the middle of a signal, or samples where its symbol rate is unknown.

    The root mean square is 1; ASK and BPSK lie along the real axis.
    """
    channel = channel_of(recording, signal)
    margin = _HALF_SPAN * SAMPLES_PER_SYMBOL
    most = POINTS * SAMPLES_PER_SYMBOL + 2 * margin
    first = max(0, (channel.count - most) // 2)
    samples = channel.read(first, min(first + most, channel.count))
    if signal.symbol_rate is None:
        return scaled(samples[:: max(1, len(samples) // POINTS)])
    period = float(channel.ratio) / signal.symbol_rate
    matched = scipy.signal.fftconvolve(samples, root_raised_cosine(period), "same")
    inside = matched[margin:-margin] if len(matched) > 4 * margin else matched
    points = symbols(inside.astype(np.complex64), period)[:POINTS]
    fine = fine_carrier(points)
    if fine is None:
        return scaled(points)
    points = points * np.exp(-2j * np.pi * fine.offset * np.arange(len(points)))
    return scaled(turned(points, fine.power))


def live_points(
    samples: NDArray[np.complex64], samples_per_symbol: float | None, center_from: str = "spectrum"
) -> NDArray[np.complex64]:
    """Return up to 384 symbols from the middle of a signal, or samples where its symbol rate is unknown.

    They are drawn many times a second, so they pass no matched filter, and no rest of a carrier is followed.

    Args:
        samples: complex64 (N,), the signal alone about zero frequency.
        samples_per_symbol: None if unknown.
        center_from: ``power M`` where the M-th power of the symbols has a line, as in ``Signal``.
    """
    most = SAMPLES_PER_SYMBOL * LIVE_POINTS
    first = max(0, (len(samples) - most) // 2)
    samples = samples[first : first + most]
    if samples_per_symbol is None or len(samples) < _FEWEST:
        return scaled(samples[::SAMPLES_PER_SYMBOL])
    points = symbols(samples, samples_per_symbol)[:LIVE_POINTS]
    power = int(center_from.removeprefix("power ")) if center_from.startswith("power ") else 1
    return scaled(turned(points, power))


def root_raised_cosine(period: float, roll_off: float = _ROLL_OFF) -> NDArray[np.float64]:
    """Return the taps of a root-raised-cosine filter of unit energy.

    Args:
        period: Samples a symbol.
        roll_off: 0 to 1, 0 excluded.
    """
    half = round(_HALF_SPAN * period)
    time = np.arange(-half, half + 1) / period
    edge = np.abs(np.abs(4 * roll_off * time) - 1) < 1e-9
    safe = np.where(edge | (time == 0), 0.1234, time)
    taps = np.sin(np.pi * safe * (1 - roll_off)) + 4 * roll_off * safe * np.cos(np.pi * safe * (1 + roll_off))
    taps /= np.pi * safe * (1 - (4 * roll_off * safe) ** 2)
    taps[time == 0] = 1 - roll_off + 4 * roll_off / np.pi
    angle = np.pi / (4 * roll_off)
    taps[edge] = roll_off / np.sqrt(2) * ((1 + 2 / np.pi) * np.sin(angle) + (1 - 2 / np.pi) * np.cos(angle))
    return np.asarray(taps / np.sqrt(np.sum(taps**2)))
