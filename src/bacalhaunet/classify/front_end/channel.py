r"""One signal of a capture, shifted to zero frequency, filtered and resampled, read slice by slice.

.. math:: y[n] = \sum_k h(n D / U - k)\, x[k]\, e^{-2 \pi j f_c (k - s)}

with the ratio U/D of the rates and a windowed-sinc low-pass h (Kaiser's window, 60 dB; Crochiere and Rabiner,
Multirate Digital Signal Processing, 1983). A slice is computed from the samples it needs alone, and is the same
whatever slices are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from bacalhaunet.data.recordings.recording import Recording

_LARGEST_DENOMINATOR = 256
_ATTENUATION_DB = 60.0
_TABLE = 1024
_WORK = 1 << 19
"""Samples of the capture that are worked on at once."""


@dataclass(frozen=True)
class Channel:
    """A signal as a store of samples at its own rate.

    Attributes:
        recording: The capture.
        start: Its first sample in the capture, which is sample 0 here.
        stop: First sample after its end.
        center: Its centre in cycles a sample of the capture.
        passband: Width that passes, in cycles a sample of the capture.
        transition: Width of each skirt of the filter, in the same unit.
        rate: Samples here for a sample of the capture; a fraction of small numbers within 1e-5 of it is used.
    """

    recording: Recording
    start: int
    stop: int
    center: float
    passband: float
    transition: float
    rate: float

    @cached_property
    def ratio(self) -> Fraction:
        """The ratio of rates that is used."""
        if self.rate >= 1:
            return 1 / Fraction(1 / self.rate).limit_denominator(_LARGEST_DENOMINATOR)
        return Fraction(self.rate).limit_denominator(max(_LARGEST_DENOMINATOR, round(16 / self.rate)))

    @property
    def count(self) -> int:
        """Number of samples here, at least 1."""
        return max(1, int((self.stop - self.start) * self.ratio))

    @cached_property
    def _taps(self) -> NDArray[np.float32]:
        """The filter at U times the capture's rate; its half length is a multiple of D."""
        signal = scipy.signal
        up, down = self.ratio.numerator, self.ratio.denominator
        order, beta = signal.kaiserord(_ATTENUATION_DB, 2 * self.transition / up)
        half = -(-int(order) // (2 * down)) * down
        cutoff = min((self.passband + self.transition) / up, min(1.0, float(self.ratio)) / up, 0.999)
        return np.asarray(up * signal.firwin(2 * half + 1, cutoff, window=("kaiser", beta)), np.float32)

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Return samples ``start`` to ``stop - 1`` of the signal at its own rate."""
        most = max(1, int(_WORK * self.ratio))
        parts = [self._slice(first, min(first + most, stop)) for first in range(start, stop, most)]
        return np.concatenate([np.empty(0, np.complex64), *parts])

    def _slice(self, start: int, stop: int) -> NDArray[np.complex64]:
        up, down = self.ratio.numerator, self.ratio.denominator
        half = len(self._taps) // 2
        reach = -(-half // (up * down)) * down  # samples of the capture either side; a whole number of D
        block = start // up
        first = block * down - reach
        last = -(-stop * down // up) + reach + 1
        samples = self._shifted(first, last)
        # I and Q apart: scipy would make the real taps complex and multiply twice as often.
        parts = np.ascontiguousarray(samples.view(np.float32).reshape(-1, 2).T)
        made = scipy.signal.upfirdn(self._taps, parts, up, down, axis=1)
        offset = half // down + reach // down * up + start - block * up
        kept = made[:, offset : offset + stop - start]
        return np.ascontiguousarray(kept.T, dtype=np.float32).view(np.complex64)[:, 0]

    def _shifted(self, first: int, last: int) -> NDArray[np.complex64]:
        """Return the capture's samples from ``start + first`` on at zero frequency; zeros outside the capture."""
        begin, end = max(self.start + first, 0), min(self.start + last, len(self.recording))
        out = np.zeros(last - first, np.complex64)
        if begin < end:
            place = begin - self.start - first
            out[place : place + end - begin] = _turned(self.recording.read(begin, end), self.center, begin - self.start)
        return out


def _turned(samples: NDArray[np.complex64], frequency: float, first: int) -> Any:
    """Return x[n] exp(-2 pi j f (n + first)), from a table and one phase in float64 for each of its lengths."""
    blocks = -(-len(samples) // _TABLE)
    table = np.exp(-2j * np.pi * ((frequency * np.arange(_TABLE)) % 1)).astype(np.complex64)
    phases = np.exp(-2j * np.pi * ((frequency * (first + _TABLE * np.arange(blocks))) % 1)).astype(np.complex64)
    return samples * (phases[:, None] * table).reshape(-1)[: len(samples)]
