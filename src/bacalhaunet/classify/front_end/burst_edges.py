r"""When a signal begins and ends, to a few symbols.

.. math:: \hat m = \arg\min_m \sum_{n < m} \left( \log N + \frac{p[n]}{N} \right)
          + \sum_{n \ge m} \left( \log S + \frac{p[n]}{S} \right)

The most likely place of a change from power N to power S of complex Gaussian samples (Page, Biometrika 41 (1954) 100;
Basseville and Nikiforov, Detection of Abrupt Changes, 1993, section 2.6).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.front_end.channel import Channel

_LISTENED = 1 << 16
"""Samples from which the signal's power is taken."""


def change_point(power: NDArray[np.floating], before: float, after: float) -> int:
    """Return the most likely m of a change from mean power ``before`` to ``after``, from 0 to the length."""
    gain = np.log(before / after) + power.astype(float) * (1 / before - 1 / after)
    from_there_on = np.cumsum(gain[::-1])[::-1]
    return int(np.argmax(np.append(from_there_on, 0.0)))


def burst_edges(channel: Channel, noise: float, reach: int) -> tuple[int, int]:
    """Return the first and last-but-one sample, in the capture, of the signal in a channel.

    Args:
        channel: The signal's band, from the first to the last sample that were found coarsely.
        noise: Power of the noise in the band.
        reach: Samples of the capture by which the coarse edges can be wrong.

    Returns:
        The coarse edges where the signal is not louder than the noise.
    """
    ratio = float(channel.ratio)
    around = round(reach * ratio)
    skipped = min(around, channel.count // 3)
    inner = channel.read(skipped, min(channel.count - skipped, skipped + _LISTENED))
    loud = float(np.mean(np.abs(inner) ** 2))
    if not loud > 2 * noise:
        return channel.start, channel.stop
    width = min(2 * around, around + channel.count // 2)
    head = np.abs(channel.read(-around, width - around)) ** 2
    tail = np.abs(channel.read(channel.count + around - width, channel.count + around)) ** 2
    first = change_point(head, noise, loud) - around
    last = channel.count + around - change_point(tail[::-1], noise, loud)
    if not first < last:
        return channel.start, channel.stop
    start = channel.start + int(np.ceil(first / ratio))
    stop = channel.start + int(last / ratio)
    return max(start, 0), min(max(stop, start + 1), len(channel.recording))
