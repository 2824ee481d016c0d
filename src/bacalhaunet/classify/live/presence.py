r"""When a signal is there within the samples of its channel, to a few symbols.

.. math:: (\hat a, \hat b) = \arg\max_{a \le b} \sum_{a \le k < b} \min(g_k, -\bar g), \qquad
          g_k = \log\frac{N}{S} + p_k \left( \frac 1 N - \frac 1 S \right), \qquad \bar g = g(p = N)

p_k is the mean power of a symbol, N the noise's in the channel, S the signal's and the noise's together: the most
likely stretch of power S in noise N, as the two edges of ``front_end.burst_edges`` at once. A symbol says at most as
much for the signal as noise says against it, so that a short click does not bridge a long silence. The largest sum is
that of running sums (Bentley, Communications of the ACM 27 (1984) 865).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.channel import Channel
from bacalhaunet.classify.front_end.signals import SAMPLES_PER_SYMBOL, Signal

_CLEAR = 2.0
"""Power over the noise's from which on edges are looked for."""

_PIECE = 128
_LEAST_NOISE = 1e-6


def presence(channel: Channel, samples: NDArray[np.complex64], signal: Signal, floor: float) -> slice | None:
    """Return which of its channel's samples a signal fills; None where it is too weak to tell.

    Args:
        channel: The signal's band, with the noise about it.
        samples: complex64 (N,), the channel's.
        signal: As it was estimated.
        floor: Power of the noise over a band of one cycle a sample.

    Returns:
        An empty slice where its estimated power should show and does not.
    """
    noise = floor * min(1.0, channel.passband + channel.transition)
    count = len(samples) // SAMPLES_PER_SYMBOL
    power = np.mean(np.abs(samples[: count * SAMPLES_PER_SYMBOL].reshape(count, -1)) ** 2, axis=1, dtype=float)
    loud = _loudest(power)
    if loud > _CLEAR * noise:
        first, last = stretch(power, noise, loud)
        return slice(first * SAMPLES_PER_SYMBOL, last * SAMPLES_PER_SYMBOL)
    own = 0.0 if signal.snr_db is None else 10 ** (signal.snr_db / 10) * floor * signal.bandwidth
    return slice(0, 0) if own > _CLEAR * noise else None


def stretch(power: NDArray[np.floating], noise: float, loud: float) -> tuple[int, int]:
    """Return the first and last-but-one place of the most likely stretch of mean power ``loud`` in ``noise``."""
    noise = max(noise, _LEAST_NOISE * loud)  # a stream may hold no noise at all
    against = np.log(loud / noise) - (1 - noise / loud)
    gain = np.minimum(np.log(noise / loud) + power * (1 / noise - 1 / loud), against)
    total = np.concatenate([[0.0], np.cumsum(gain)])
    last = int(np.argmax(total - np.minimum.accumulate(total)))
    return int(np.argmin(total[: last + 1])), last


def _loudest(power: NDArray[np.floating]) -> float:
    """Return the mean power of the loudest piece of some hundred symbols."""
    pieces = np.array_split(power, max(1, len(power) // _PIECE))
    return max((float(piece.mean()) for piece in pieces if len(piece)), default=0.0)
