"""The signals of a capture, with centre, bandwidth and symbol rate: found blindly, or as set by hand.

found = find_signals(open_recording("capture.sigmf-meta"))
for signal in found:
print(signal.start, signal.center, signal.symbol_rate)
samples = channel_of(recording, signal).read(0, 4096)     # centred, 8 samples a symbol
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.engines import cores
from bacalhaunet.classify.front_end.channel import Channel
from bacalhaunet.classify.front_end.measurement import balance, burst_edges, occupied_width, symmetry
from bacalhaunet.classify.front_end.regions import SHORTEST, Region, regions, spectrogram
from bacalhaunet.classify.front_end.symbol_rate import (
    OffsetLines,
    fine_carrier,
    offset_lines,
    symbol_line,
    symbols,
)
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.errors import ConfigError
from bacalhaunet.prefetch import prefetch

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
class FrontEndSettings:
    """What is set by hand of every signal; what is left None is estimated. Frequencies are in cycles a sample.

    Attributes:
        bandwidth: Width of the band, up to 1.
        symbol_rate: Symbols a sample, up to 0.5.

    Raises:
        ConfigError: If one is out of range.
    """

    bandwidth: float | None = None
    symbol_rate: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges; NaN fails every check."""
        _check("the bandwidth", self.bandwidth, 1e-5, 1.0)
        _check("the symbol rate", self.symbol_rate, 1e-5, 0.5)


def _check(what: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise ConfigError(f"{what} is {value:g} cycles a sample", allowed=f"{low:g} to {high:g} times the sample rate")


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
        RecordingError: If samples cannot be read.
    """
    settings = settings or FrontEndSettings()
    found: list[Signal] = []
    for start, stop in stretches(recording):
        if stop - start < SHORTEST:
            continue
        places = regions(spectrogram(recording, start, stop, progress))
        estimates = prefetch((partial(_estimated, recording, place, settings) for place in places), cores())
        found += [signal for signal in estimates if signal is not None]
    return [replace(signal, room=_room(signal, found)) for signal in found]


def signal_at(recording: Recording, center: float, settings: FrontEndSettings) -> Signal:
    """Return the whole recording as one signal.

    Args:
        recording: The recording.
        center: Centre frequency in cycles a sample, -0.5 to 0.5.
        settings: Bandwidth, symbol rate or both; what is left out follows from the other.

    Raises:
        ConfigError: If the centre is out of range, or neither bandwidth nor symbol rate is known.
    """
    _check("the centre frequency", center, -0.5, 0.5)
    if settings.bandwidth is None and settings.symbol_rate is None:
        raise ConfigError(
            "nothing says how wide the signal is",
            allowed="a symbol rate, a bandwidth, or both",
            action="pass --symbol-rate or --bandwidth",
        )
    width = settings.bandwidth or _BAND_OF_SYMBOLS * (settings.symbol_rate or 0.0)
    signal = Signal(0, len(recording), center, min(width, 1.0), center_from="hand", room=2.0)
    return _with_symbols(recording, signal, settings)


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
