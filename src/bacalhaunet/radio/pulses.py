"""Pulse shapes: powers of the raised cosine, and the banks of delayed pulses that shape symbols by matrix product."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bacalhaunet.radio.modulations import SAMPLES_PER_SYMBOL

_GRID = 8192  # frequencies of the numerical inverse transform, over the support of the response


def raised_cosine_response(frequency: NDArray[np.float64], roll_off: float) -> NDArray[np.float64]:
    r"""Raised-cosine response of roll-off b at a frequency f in symbol rates.

    .. math:: RC(f) = \frac{1 + \cos(\pi e)}{2}, \qquad e = \frac{|f| - (1 - b) / 2}{b} \text{ within 0 to 1}

    >>> raised_cosine_response(np.array([0.0, 0.5, 0.75]), 0.5).round(3).tolist()
    [1.0, 0.5, 0.0]
    """
    edge = np.clip((np.abs(frequency) - (1 - roll_off) / 2) / max(roll_off, 1e-9), 0, 1)
    return 0.5 * (1 + np.cos(np.pi * edge))


def pulse(time: NDArray[np.float64], roll_off: float, cascaded: float) -> NDArray[np.float64]:
    """h(t) = integral RC(f)^(c/2) exp(j 2 pi f t) df: ``c`` root-raised-cosine filters in cascade.

    Args:
        time: Instants in symbols.
        roll_off: 0 < roll-off <= 1.
        cascaded: c, the number of root-raised-cosine filters; 2 is the raised cosine.

    Returns:
        h at each instant; at least 1e-9 accurate for |t| below 100 symbols.
    """
    band = (1 + roll_off) / 2
    frequency = (np.arange(_GRID) + 0.5) * band / _GRID
    response = raised_cosine_response(frequency, roll_off) ** (cascaded / 2)
    # A matrix of pulses holds the same instants many times over; each is computed once, a few at a time.
    instants, place = np.unique(np.round(np.asarray(time, dtype=np.float64), 12), return_inverse=True)
    parts = np.array_split(instants, max(1, len(instants) // 512))
    values = [np.cos(2 * np.pi * np.outer(part, frequency)) @ response for part in parts]
    return (np.concatenate(values) * (2 * band / _GRID))[place].reshape(np.shape(time))


@lru_cache(maxsize=32)
def pulse_bank(
    roll_off: float, cascaded: float, half_span: int, timing: float, symbols: int, shifts: tuple[int, ...]
) -> Tensor:
    """Matrices that turn a run of symbols into samples: float32 (shifts, symbols + 2 half_span, 8 symbols).

    ``bank[i, k, n]`` is the pulse of symbol ``k - half_span`` at sample ``n - shifts[i] - timing``. The pulse has unit
    energy in the sense sum h^2 = 8, so independent symbols of power p make a signal of power p.

    Args:
        roll_off: Roll-off of each filter.
        cascaded: Number of root-raised-cosine filters in cascade.
        half_span: The pulse is cut at this many symbols on either side.
        timing: Fraction of a sample by which every pulse is late.
        symbols: Symbols a matrix advances; it makes 8 times as many samples.
        shifts: Delays in whole samples, one matrix each.
    """
    fine = np.arange(-half_span * SAMPLES_PER_SYMBOL, half_span * SAMPLES_PER_SYMBOL + 1) / SAMPLES_PER_SYMBOL
    energy = (pulse(fine, roll_off, cascaded) ** 2).sum() / SAMPLES_PER_SYMBOL
    sample = np.arange(SAMPLES_PER_SYMBOL * symbols)
    centre = SAMPLES_PER_SYMBOL * (np.arange(symbols + 2 * half_span) - half_span)
    shift = np.asarray(shifts, dtype=np.float64)
    time = (sample[None, None] - centre[None, :, None] - shift[:, None, None] - timing) / SAMPLES_PER_SYMBOL
    taps = np.where(np.abs(time) <= half_span, pulse(time, roll_off, cascaded), 0.0)
    return torch.from_numpy((taps / np.sqrt(energy)).astype(np.float32))


def shape(symbols: Tensor, bank: Tensor, choice: Tensor, blocks: int) -> Tensor:
    """Pulse-shape rows of symbols, each row with its own matrix of the bank.

    Args:
        symbols: Real amplitudes, float32 (R, blocks * S + 2 half_span) for matrices that advance S symbols.
        bank: From ``pulse_bank``, (shifts, S + 2 half_span, 8 S).
        choice: Which matrix each row uses, int64 (R,).
        blocks: Number of runs of S symbols.

    Returns:
        Samples, float32 (R, blocks * 8 S).
    """
    _, window, samples = bank.shape
    step = samples // SAMPLES_PER_SYMBOL
    runs = symbols.unfold(1, window, step)[:, :blocks]
    return torch.bmm(runs, bank[choice]).reshape(symbols.shape[0], blocks * samples)
