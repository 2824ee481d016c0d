r"""The blocks of a stream, classified one after the other.

A signal is named by those samples of its channel that it fills, which are known to a few symbols:

.. math:: (\hat a, \hat b) = \arg\max_{a \le b} \sum_{a \le k < b} \min(g_k, -\bar g), \qquad
          g_k = \log\frac{N}{S} + p_k \left( \frac 1 N - \frac 1 S \right), \qquad \bar g = g(p = N)

p_k is the mean power of a symbol, N the noise's in the channel, S the signal's and the noise's together: the most
likely stretch of power S in noise N, as the two edges of ``front_end.measurement.burst_edges`` at once. A symbol says
at most as much for the signal as noise says against it, so that a short click does not bridge a long silence. The
largest sum is that of running sums (Bentley, Communications of the ACM 27 (1984) 865).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.classifier import Classifier
from bacalhaunet.classify.front_end.channel import Channel
from bacalhaunet.classify.front_end.constellation import live_points
from bacalhaunet.classify.front_end.regions import Region
from bacalhaunet.classify.front_end.signals import (
    SAMPLES_PER_SYMBOL,
    FrontEndSettings,
    Signal,
    channel_of,
    find_signals,
)
from bacalhaunet.classify.live.queues import Block
from bacalhaunet.classify.live.tracks import Sighting, Tracks
from bacalhaunet.data.recordings.frames import FrameCutter, Framing
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.stores import InMemory

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
    """Return the first place of the most likely stretch of power ``loud`` in ``noise``, and the first after its end."""
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


_STREAM = Path("stream")
_FRAMES_IN_A_HURRY = 64
_SYMBOLS = 4096
_FEWEST_LOOKED_AT = 1 << 15
_MOST_LOOKS = 4
_LONG = 4


class Analyser:
    """Classifies the signals of blocks.

    Where a signal is new or its estimates are old, the front end looks closely at some thousand symbols of it, at a few
    places of a block, or one if blocks come too fast; else the signal is cut out as it was found last, as long as it
    is there.

    Args:
        classifier: The network.
        tracks: Where the answers go.
        settings: What of the front end is set by hand.
        give_way: Called before each piece of work; it may wait while others need the processor more.
        hurried: Says whether other blocks wait.

    Attributes:
        classified: Samples of signals that were classified, each signal's counted.
    """

    def __init__(
        self,
        classifier: Classifier,
        tracks: Tracks,
        settings: FrontEndSettings,
        give_way: Callable[[], None] = lambda: None,
        hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        self.classified = 0
        self.classifier, self.tracks, self._settings = classifier, tracks, settings
        self._give_way, self._hurried = give_way, hurried

    def warm_up(self, length: int) -> None:
        """Work on noise once, so that what is imported and built late is there before samples come."""
        noise = np.random.default_rng(0).standard_normal((length, 2)).astype(np.float32).view(np.complex64)[:, 0]
        recording = Recording(_STREAM, InMemory(noise))
        find_signals(recording, self._settings)
        signal = Signal(0, length, 0.1, 0.2, 0.125, room=2.0)
        channel_of(recording, signal).read(0, 1)
        self.classifier.logits(np.zeros((1, 2, self.classifier.frame_length), np.float32))

    def analyse(self, block: Block) -> None:
        """Classify the signals of a block."""
        looks = 0
        while (due := self.tracks.due(block)) and not self._enough(looks, block):
            self._look(due[0], block)
            looks += 1
        recording = Recording(_STREAM, InMemory(block.samples))
        for sighting in self.tracks.sightings(block):
            self._give_way()
            self._classify(recording, sighting, block)

    def _enough(self, looks: int, block: Block) -> bool:
        """Return whether a block was looked at often enough; the last one of a stream as often as it takes."""
        return looks >= (1 if block.late else _MOST_LOOKS) and self._hurried()

    def _look(self, region: Region, block: Block) -> None:
        """Let the front end look closely at a region, and what else is there at that time."""
        self._give_way()
        start, stop = _window(region, len(block.samples))
        window = Recording(_STREAM, InMemory(block.samples[start:stop]))
        self.tracks.improve(find_signals(window, self._settings), block, start, stop)

    def _classify(self, recording: Recording, sighting: Sighting, block: Block) -> None:
        signal = sighting.signal
        if block.late:  # a part of each block, sooner, rather than all of few
            rate = float(channel_of(recording, signal).ratio)
            most = round(_FRAMES_IN_A_HURRY * self.classifier.frame_length / rate)
            signal = replace(signal, stop=min(signal.stop, signal.start + most))
        channel = channel_of(recording, signal)
        if channel.count < self.classifier.frame_length:  # a frame that repeats itself would be a guess
            return
        samples = self._there(channel, sighting, block)
        if len(samples) < self.classifier.frame_length:
            return
        cutter = FrameCutter(Recording(_STREAM, InMemory(samples)), Framing(self.classifier.frame_length))
        frames, _, silent = cutter.batch(0, len(cutter))
        probabilities = self.classifier.predict_proba(frames[~silent])
        points = _points(channel, samples, signal)
        self.tracks.answer(sighting.track, probabilities, points, block, time.monotonic())
        self.classified += round(len(samples) / float(channel.ratio))

    def _there(self, channel: Channel, sighting: Sighting, block: Block) -> NDArray[np.complex64]:
        """Return the samples of a signal's channel that it fills."""
        samples, region = channel.read(0, channel.count), sighting.region
        there = presence(channel, samples, sighting.signal, region.floor)
        if there is None:  # an edge inside the block is known to a cell: what lies surely inside is taken
            trim = round(region.cell * float(channel.ratio)) if region.stop - region.start > _LONG * region.cell else 0
            first = trim if region.start > 0 else 0
            last = len(samples) - (trim if channel.stop < len(block.samples) - region.cell else 0)
            there = slice(first, last)
        return samples[there]


def _points(channel: Channel, samples: NDArray[np.complex64], signal: Signal) -> NDArray[np.complex64]:
    rate = float(channel.ratio)
    return live_points(samples, None if signal.symbol_rate is None else rate / signal.symbol_rate, signal.center_from)


def _window(region: Region, length: int) -> tuple[int, int]:
    """Return where a block shows some thousand symbols of a region: the first sample, and the first after its end."""
    count = min(length, max(_FEWEST_LOOKED_AT, int(_SYMBOLS / (region.high - region.low))))
    start = int(np.clip((region.start + region.stop - count) // 2, 0, length - count))
    return start, start + count
