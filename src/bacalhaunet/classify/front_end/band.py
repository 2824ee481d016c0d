r"""Whether a recording looks like one centred signal, as networks know it, or like a capture of a band.

.. math:: \hat P[f] = \frac{1}{M} \sum_m \left| \sum_n w[n]\, x_m[n]\, e^{-2 \pi j f n / N} \right|^2

The mean spectrum of segments from all over the recording is looked at above its own floor. It needs numpy alone, so
that the core install can tell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.recordings.recording import Recording

_BINS = 256
_PIECES, _PIECE = 64, 4096
_SMOOTHED = 5
_FLOOR_QUANTILE = 0.2
_LEAST_RISE = 4.0
_CLEAR = 3.0
"""Peak of a band over the threshold: of weaker ones only a part shows, whose place tells nothing."""

_SKIRT = 1e-3
"""Power beside the peak below which a band ends: what lies 30 dB lower is its skirt, or a receiver's image of it."""

_BRIDGED = 4
"""Bins that a gap has at most inside one signal's band."""

_INNER = 0.1
"""Half the band of a signal at 8 samples a symbol, in cycles a sample. Side bands and tones lie anywhere in it."""

_OFF_CENTRE = 0.25
_WIDE = 0.7


class _Band(NamedTuple):
    low: float
    high: float


def capture_hint(recording: Recording) -> str | None:
    """Return in a few words why a recording looks like a capture; None if it looks like one centred signal.

    Only a recording whose sample rate is known is looked at: without one nobody can say where a signal lies. Ready
    frames, silence and what does not stand out of its noise look like no capture.
    """
    rate = recording.sample_rate
    if rate is None or recording.frame_length is not None or len(recording) < _PIECE:
        return None
    bands = _bands(_spectrum(recording))
    if not bands or all(band.low >= -_INNER and band.high <= _INNER for band in bands):
        return None
    if len(bands) > 1:
        return f"{recording.path} looks like a capture: {len(bands)} parts of its band hold signals"
    (band,) = bands
    center, width = (band.low + band.high) / 2, band.high - band.low
    if width > _WIDE or abs(center) <= _OFF_CENTRE * width:
        return None
    return f"{recording.path} looks like a capture: its signal lies {center * rate:+.4g} Hz from the middle"


def _spectrum(recording: Recording) -> NDArray[np.float64]:
    """Return the mean power over frequency, (bins,), -0.5 to 0.5 cycles a sample, smoothed."""
    starts = np.unique(np.linspace(0, len(recording) - _PIECE, _PIECES).astype(int))
    window = np.blackman(_BINS + 1)[:-1]
    power = np.zeros(_BINS)
    for start in starts.tolist():
        segments = recording.read(start, start + _PIECE).reshape(-1, _BINS)
        power += np.mean(np.abs(np.fft.fft(segments * window, axis=1)) ** 2, axis=0)
    wrapped = np.pad(np.fft.fftshift(power), _SMOOTHED // 2, mode="wrap")
    return np.convolve(wrapped, np.ones(_SMOOTHED) / _SMOOTHED, "valid")


def _bands(power: NDArray[np.float64]) -> list[_Band]:
    """Return the parts of the band that stand out; none where nothing is clear of the noise."""
    threshold = max(_LEAST_RISE * float(np.quantile(power, _FLOOR_QUANTILE)), _SKIRT * float(power.max()))
    above = np.flatnonzero(power > threshold)
    if not threshold > 0 or not power.max() > _CLEAR * threshold:
        return []
    parts = np.split(above, np.flatnonzero(np.diff(above) > _BRIDGED) + 1)
    parts = [part for part in parts if power[part].max() > _CLEAR * threshold]
    return [_Band((part[0] - 0.5) / _BINS - 0.5, (part[-1] + 0.5) / _BINS - 0.5) for part in parts]
