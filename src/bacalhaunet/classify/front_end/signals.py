r"""The signals of a capture, with centre, bandwidth and symbol rate: found blindly, or as set by hand.

found = find_signals(open_recording("capture.sigmf-meta"))
for signal in found:
    print(signal.start, signal.center, signal.symbol_rate)
    samples = channel_of(recording, signal).read(0, 4096)     # centred, 8 samples a symbol

When a signal begins and ends, to a few symbols.

.. math:: \hat m = \arg\min_m \sum_{n < m} \left( \log N + \frac{p[n]}{N} \right)
          + \sum_{n \ge m} \left( \log S + \frac{p[n]}{S} \right)

The most likely place of a change from power N to power S of complex Gaussian samples (Page, Biometrika 41 (1954) 100;
Basseville and Nikiforov, Detection of Abrupt Changes, 1993, section 2.6).

Centre and width of a signal from the shape of its spectrum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.engines import cores
from bacalhaunet.classify.front_end.channel import Channel
from bacalhaunet.classify.front_end.regions import Region, regions
from bacalhaunet.classify.front_end.settings import FrontEndSettings, scipy_module
from bacalhaunet.classify.front_end.spectrogram import SHORTEST, spectrogram
from bacalhaunet.classify.front_end.symbol_rate import (
    OffsetLines,
    fine_carrier,
    offset_lines,
    parabola,
    symbol_line,
    symbols,
)
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.prefetch import prefetch

_LISTENED = 1 << 16
"""Samples from which the signal's power is taken."""


def change_point(power: NDArray[np.floating], before: float, after: float) -> int:
    """Return the most likely m of a change from mean power ``before`` to ``after``, from 0 to the length."""
    gain = np.log(before / after) + power.astype(float) * (1 / before - 1 / after)
    from_there_on = np.cumsum(gain[::-1])[::-1]
    return int(np.argmax(np.append(from_there_on, 0.0)))


def burst_edges(channel: Channel, noise: float, reach: int) -> tuple[int, int]:
    """Return the first sample, in the capture, of the signal in a channel, and the first one after its end.

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


_BINS_IN_BAND = 64
_SKIRTS = 0.7
_SYMMETRY_REACH = 0.08
_SYMMETRY_STEPS = 161
_LEAST_RISE = 0.3
_SURE = 4.0
_LOWEST_SKIRT = 1e-3


def balance(samples: NDArray[np.complex64], width: float, noise: float) -> float:
    """Return the centre of gravity of the spectrum above the noise, in cycles a sample.

    Args:
        samples: The signal near zero frequency.
        width: Width of the band that is looked at, in cycles a sample.
        noise: Power of the noise per bin: its power over a band of one cycle a sample.
    """
    power = np.abs(scipy_module("fft").fft(samples)) ** 2 / len(samples)
    frequency = np.fft.fftfreq(len(samples))
    center = 0.0
    for _ in range(3):  # the band follows the centre, so that it cuts nothing off on one side
        inside = np.abs(frequency - center) <= width / 2
        excess = power[inside] - noise
        total = float(excess.sum())
        if not total > 0:
            return center
        center = float(np.clip((excess * frequency[inside]).sum() / total, -width / 2, width / 2))
    return center


def symmetry(samples: NDArray[np.complex64], width: float) -> float:
    r"""Return the frequency about which the spectrum is symmetric, in cycles a sample.

    .. math:: \hat f = \arg\min_c \sum_f \log\left(P(c + f) + P(c - f)\right)

    Whittle's likelihood (Arkiv Mat. 2 (1953) 423) of a symmetric spectrum of unknown shape. The steep skirts decide,
    where the centre of gravity also takes in how the symbols happened to fall.

    Args:
        samples: The signal near zero frequency.
        width: Width of its band in cycles a sample.
    """
    grid, power, _ = _welch(samples, width)
    away = np.arange(0, _SKIRTS * width, width / (2 * _BINS_IN_BAND))
    centers = np.linspace(-_SYMMETRY_REACH, _SYMMETRY_REACH, _SYMMETRY_STEPS) * width
    sides = [np.interp(centers[:, None] + sign * away, grid, power) for sign in (1, -1)]
    cost = np.log(sides[0] + sides[1]).sum(axis=1)
    best = int(np.clip(cost.argmin(), 1, len(centers) - 2))
    return float(centers[best] + parabola(-cost[best - 1 : best + 2]) * (centers[1] - centers[0]))


def occupied_width(samples: NDArray[np.complex64], width: float, noise: float) -> float:
    """Return the width of the band about zero frequency whose power density stands above the noise.

    Both sides are averaged; skirts 30 dB below the peak no longer count.

    Args:
        samples: The signal centred at zero frequency.
        width: A width that is too large rather than too small, in cycles a sample; the result is at most this.
        noise: Power of the noise over a band of one cycle a sample.
    """
    grid, power, averages = _welch(samples, width)
    away = np.arange(0, width / 2, width / (2 * _BINS_IN_BAND))
    both = (np.interp(away, grid, power) + np.interp(-away, grid, power)) / 2
    threshold = max(noise * (1 + max(_LEAST_RISE, _SURE / np.sqrt(2 * averages))), _LOWEST_SKIRT * float(both.max()))
    above = np.flatnonzero(both > threshold)
    return float(min(width, 2 * away[above[-1]] + width / _BINS_IN_BAND)) if len(above) else width


def _welch(samples: NDArray[np.complex64], width: float) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return frequencies, power density (of white noise: its power) and the number of segments averaged."""
    size = min(1 << max(6, int(np.ceil(np.log2(_BINS_IN_BAND / width)))), len(samples))
    window = np.hanning(size + 2)[1:-1]
    segments = np.lib.stride_tricks.sliding_window_view(samples, size)[:: max(1, size // 2)]
    spectra = scipy_module("fft").fft(segments * (window / np.sqrt(np.sum(window**2))).astype(np.float32), axis=1)
    power = np.fft.fftshift(np.mean(np.abs(spectra) ** 2, axis=0)).astype(float) + 1e-30
    return np.fft.fftshift(np.fft.fftfreq(size)), power, len(segments)


SAMPLES_PER_SYMBOL = 8
"""Samples a symbol that the networks know."""

_LOOKED_AT = 1 << 18
"""Samples of the capture that estimates are made from, from the middle of the signal."""

_ANALYSIS_RATE = 4
"""Samples of the analysis in one over the bandwidth."""

_MARGIN = 1.1
"""Part of the band that is analysed, for edges that were found a little too narrow."""

_SKIRT = 0.25
"""Width of a filter's skirt in widths of its passband."""

_SURE_LINE = 40.0
"""Excess of a line of the envelope that needs no comparison with the lines of the square."""

_FINE_SAMPLES = 1 << 16
_BAND_OF_SYMBOLS = 1.4
"""Bandwidth in symbol rates where only the symbol rate is known: a roll-off of 0.4, as RadioML's."""


@dataclass(frozen=True)
class Signal:
    """A signal of a capture. Frequencies are in cycles a sample of the capture.

    Attributes:
        start: Its first sample.
        stop: The first sample after its end.
        center: Centre frequency, -0.5 to 0.5.
        bandwidth: Width of the band above the noise.
        symbol_rate: Symbols a sample; None if none was found, as for analog modulations.
        snr_db: Ratio of the signal's to the noise's power in the band, dB; None if the noise is unknown.
        center_from: ``hand``, ``spectrum``, ``power M`` for the line of the M-th power of the symbols, or ``square``
            for the lines of the squared signal.
        symbol_rate_from: ``hand``, ``envelope``, ``square``, or ``none``.
        room: Width about the centre that holds no other signal at the same time; None if not looked for.
    """

    start: int
    stop: int
    center: float
    bandwidth: float
    symbol_rate: float | None = None
    snr_db: float | None = None
    center_from: str = "spectrum"
    symbol_rate_from: str = "none"
    room: float | None = None

    @property
    def low(self) -> float:
        """Lower edge of the band."""
        return self.center - self.bandwidth / 2

    @property
    def high(self) -> float:
        """Upper edge of the band."""
        return self.center + self.bandwidth / 2


def find_signals(
    recording: Recording, settings: FrontEndSettings | None = None, progress: Callable[[int], None] | None = None
) -> list[Signal]:
    """Return the signals of a capture by their start; an empty list if there is noise alone.

    Stretches with receiver settings of their own (SigMF captures) are looked at one by one; in less than 1152 samples
    nothing is found.

    Args:
        recording: The capture.
        settings: What is set by hand.
        progress: Gets the number of samples of each part that was looked through.

    Raises:
        MissingExtraError: If scipy is not installed.
        RecordingError: If samples cannot be read.
    """
    settings = settings or FrontEndSettings()
    if not settings.detect:
        return [_by_hand(recording, settings)]
    found: list[Signal] = []
    for start, stop in stretches(recording):
        if stop - start < SHORTEST:
            continue
        places = regions(spectrogram(recording, start, stop, progress))
        estimates = prefetch((partial(_estimated, recording, place, settings) for place in places), cores())
        found += [signal for signal in estimates if signal is not None]
    return [replace(signal, room=_room(signal, found)) for signal in found]


def stretches(recording: Recording) -> Iterator[tuple[int, int]]:
    """Yield the first sample of each stretch of one receiver setting, and the first one after its end."""
    starts = sorted({0, *(capture.start for capture in recording.captures if 0 < capture.start < len(recording))})
    yield from zip(starts, [*starts[1:], len(recording)], strict=True)


def channel_of(recording: Recording, signal: Signal) -> Channel:
    """Return the signal centred and at 8 samples a symbol, with the noise about it as far as no other signal is near.

    The networks learnt with white noise up to the edge of the 8 samples; noise that a narrow filter has shaped costs
    accuracy. Where the symbol rate is unknown it is taken to be the bandwidth over 1.4.
    """
    narrow = _narrow_channel(recording, signal)
    skirts = _SKIRT * narrow.rate / (1 + _SKIRT)
    passband = min((signal.room or 0.0) / (1 + 2 * _SKIRT), narrow.rate - skirts)
    if passband <= narrow.passband:
        return narrow
    return replace(narrow, passband=passband, transition=_SKIRT * passband)


def _narrow_channel(recording: Recording, signal: Signal) -> Channel:
    """Return the signal centred and at 8 samples a symbol, filtered to its band."""
    rate = signal.symbol_rate or signal.bandwidth / _BAND_OF_SYMBOLS
    width = max(signal.bandwidth, 1.1 * rate)
    return Channel(
        recording, signal.start, signal.stop, signal.center, width, _SKIRT * width, SAMPLES_PER_SYMBOL * rate
    )


def _room(signal: Signal, found: list[Signal]) -> float:
    """Return twice the distance from the centre to the nearest band of another signal of that time, at most 2."""
    others = [one for one in found if one is not signal and one.start < signal.stop and signal.start < one.stop]
    return 2 * min([1.0, *(abs(one.center - signal.center) - one.bandwidth / 2 for one in others)])


def _by_hand(recording: Recording, settings: FrontEndSettings) -> Signal:
    width = settings.bandwidth or _BAND_OF_SYMBOLS * (settings.symbol_rate or 0.0)
    signal = Signal(0, len(recording), settings.center or 0.0, min(width, 1.0), center_from="hand", room=2.0)
    return _with_symbols(recording, signal, settings)


def _estimated(recording: Recording, region: Region, settings: FrontEndSettings) -> Signal | None:
    """Return a region's signal; None if nothing is left above the noise when it is looked at closely."""
    width = region.high - region.low
    signal = Signal(region.start, region.stop, (region.low + region.high) / 2, width)
    channel = _analysis_channel(recording, signal)
    samples, rate = _middle(channel), float(channel.ratio)
    excess = float(np.mean(np.abs(samples) ** 2)) - region.floor * (channel.passband + channel.transition)
    if not excess > 0:
        return None
    shift = balance(samples, _MARGIN * width / rate, region.floor * rate) * rate
    signal = _narrowed(recording, replace(signal, center=signal.center + shift), region.floor)
    signal = replace(signal, snr_db=float(10 * np.log10(excess / (region.floor * signal.bandwidth))))
    if settings.bandwidth is not None:
        signal = replace(signal, bandwidth=settings.bandwidth)
    signal = _with_symbols(recording, signal, settings)
    channel = _narrow_channel(recording, signal)
    start, stop = burst_edges(channel, region.floor * (channel.passband + channel.transition), region.cell)
    return replace(signal, start=start, stop=stop)


def _narrowed(recording: Recording, signal: Signal, floor: float) -> Signal:
    """Return the signal with its centre and bandwidth from its own spectrum, which is finer than the spectrogram."""
    channel = _analysis_channel(recording, signal)
    samples, rate = _middle(channel), float(channel.ratio)
    signal = replace(signal, center=signal.center + symmetry(samples, signal.bandwidth / rate) * rate)
    samples = _middle(_analysis_channel(recording, signal))
    width = occupied_width(samples, _MARGIN * signal.bandwidth / rate, floor * rate) * rate
    return replace(signal, bandwidth=width)


def _with_symbols(recording: Recording, signal: Signal, settings: FrontEndSettings) -> Signal:
    """Return the signal with its symbol rate and, unless set by hand, its carrier made fine by it."""
    if settings.symbol_rate is not None:
        signal = replace(signal, symbol_rate=settings.symbol_rate, symbol_rate_from="hand")
    else:
        channel = _analysis_channel(recording, signal)
        samples, width = _middle(channel), signal.bandwidth / float(channel.ratio)
        line = symbol_line(samples, width)
        pair = offset_lines(samples, width) if line.excess < _SURE_LINE else None
        if pair is not None and pair.excess > line.excess:
            return _with_offset_symbols(signal, pair, float(channel.ratio))
        if line.excess < 0:
            return signal
        signal = replace(signal, symbol_rate=float(line.frequency * channel.ratio), symbol_rate_from="envelope")
    if signal.center_from == "hand" or signal.symbol_rate is None:
        return signal
    channel = _narrow_channel(recording, signal)
    fine = fine_carrier(symbols(_middle(channel, _FINE_SAMPLES), float(channel.ratio) / signal.symbol_rate))
    if fine is None:
        return signal
    center = signal.center + fine.offset * signal.symbol_rate
    return replace(signal, center=center, center_from=f"power {fine.power}")


def _with_offset_symbols(signal: Signal, lines: OffsetLines, ratio: float) -> Signal:
    """Return the signal with what two lines of its square tell; ``ratio`` turns their rate into the capture's."""
    signal = replace(signal, symbol_rate=lines.symbol_rate * ratio, symbol_rate_from="square")
    if signal.center_from == "hand":
        return signal
    return replace(signal, center=signal.center + lines.center * ratio, center_from="square")


def _analysis_channel(recording: Recording, signal: Signal) -> Channel:
    width = signal.bandwidth
    return Channel(
        recording, signal.start, signal.stop, signal.center, _MARGIN * width, _SKIRT * width, _ANALYSIS_RATE * width
    )


def _middle(channel: Channel, most: int | None = None) -> NDArray[np.complex64]:
    """Return the samples in the middle of a channel: those of 2^18 of the capture, or ``most``."""
    most = max(1, int(_LOOKED_AT * channel.ratio)) if most is None else most
    first = max(0, (channel.count - most) // 2)
    return channel.read(first, min(first + most, channel.count))
