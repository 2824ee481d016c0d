r"""A recording cut into frames of the size and scale that the networks were trained on.

RadioML's frames are 1024-sample cuts of blocks of about 2048 samples, each block divided by its standard deviation:

.. math:: y[n] = x[n] / \max(\sigma, \rho / 20), \qquad
          \sigma^2 = \overline{|x|^2} - |\overline{x}|^2, \qquad \rho^2 = \overline{|x|^2}

with the means over the block. The mean is taken out of `\sigma` but not out of the samples, as in RadioML, so a
carrier without modulation comes out large; 20 is about the largest value in RadioML (single-sideband classes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from itertools import pairwise
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.errors import ConfigError, RecordingError

Normalization: TypeAlias = Literal["auto", "block", "frame", "none"]
LastFrame: TypeAlias = Literal["whole", "overlaps", "repeated", "left out"]

READY_POWER = (0.5, 8.0)
"""Mean power between which ready frames are taken to be in RadioML's scale already."""

_LARGEST_AMPLITUDE = 20.0
_READY_FRAMES_LOOKED_AT = 256
_IRREGULAR_AT_THE_END = 3
"""Frames whose place or block of samples is shifted inwards by the end of the recording, at most."""

BATCH = 1024
"""Frames of a batch: 8 MiB of samples."""

_PART = 128
"""Frames that are cut at once: 1 MiB of samples, which stays in a core's cache from the file to the frames."""


@dataclass(frozen=True)
class Framing:
    """How frames are cut and scaled.

    Attributes:
        frame_length: Samples of a frame.
        hop_length: Samples from one frame's start to the next; None for ``frame_length``.
        normalization: ``block``: each frame is divided by the standard deviation of the 2 ``frame_length`` samples
            around it; ``frame``: by its own; ``none``: not at all. ``auto``: ``none`` if ``scale`` is given; for
            ready frames, ``none`` if their mean power is 0.5 to 8, else ``frame``; for signals, ``block``.
        scale: Samples are multiplied by this first; None leaves them.
    """

    frame_length: int = 1024
    hop_length: int | None = None
    normalization: Normalization = "auto"
    scale: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.hop_length is not None and self.hop_length < 1:
            raise ConfigError(f"the hop length is {self.hop_length}", allowed="1 sample or more")
        if self.scale is not None and not 0 < self.scale < 1e30:
            raise ConfigError(f"the scale is {self.scale}", allowed="a number above 0")
        if self.normalization not in get_args(Normalization):
            raise ConfigError(
                f"no normalization is called {self.normalization!r}", allowed=", ".join(get_args(Normalization))
            )


@lru_cache(maxsize=1)
def load_kernel() -> ModuleType | None:
    """Return the compiled cutter; None where the package was installed without a C compiler."""
    try:
        return import_module("bacalhaunet.classify._cut")
    except ImportError:
        return None


class FrameBatch(NamedTuple):
    """Frames of a recording.

    Attributes:
        frames: float32 (n, 2, frame_length), I then Q, scaled.
        starts: int64 (n,), first sample of each frame.
        silent: bool (n,), frames whose samples are all zero.
    """

    frames: NDArray[np.float32]
    starts: NDArray[np.int64]
    silent: NDArray[np.bool_]


class FrameCutter:
    """The frames of a recording, batch by batch, in memory bounded by the batch.

    Frames start every ``hop_length`` samples. Samples left over at the end get a frame of their own that overlaps the
    one before. A recording shorter than a frame is repeated until it fills one.

    Args:
        recording: The recording.
        framing: How to cut and scale.

    Attributes:
        framing: As used: with the hop length and the normalization decided.
        starts: First sample of each frame.
        last_frame: What became of the last samples: ``whole``: no rest; ``overlaps``; ``repeated``: the recording is
            shorter than a frame; ``left out``: the hop is longer than a frame.

    Raises:
        RecordingError: If it holds ready frames of another length.
    """

    def __init__(self, recording: Recording, framing: Framing) -> None:
        length = framing.frame_length
        if recording.frame_length not in (None, length):
            raise RecordingError(
                f"the frames have {recording.frame_length} samples",
                where=str(recording.path),
                allowed=f"frames of {length} samples, or one signal of any length",
            )
        hop = framing.hop_length if framing.hop_length and recording.frame_length is None else length
        self.recording = recording
        self.starts, self.last_frame = _starts(len(recording), length, hop)
        self.framing = Framing(length, hop, _normalization(recording, framing), framing.scale)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.starts)

    def batches(self, size: int = BATCH) -> Iterator[FrameBatch]:
        """Yield the frames in order, ``size`` at a time."""
        for first in range(0, len(self), size):
            yield self.batch(first, first + size)

    def batch(self, first: int, last: int) -> FrameBatch:
        """Return frames ``first`` to ``last - 1``, or to the last one there is; any thread may ask."""
        starts = self.starts[first:last]
        frames = np.empty((len(starts), 2, self.framing.frame_length), np.float32)
        silent = np.empty(len(starts), np.bool_)
        regular = len(self) - _IRREGULAR_AT_THE_END - first
        # A part is read in one piece, with all that lies between its frames.
        part = max(1, min(_PART, _PART * self.framing.frame_length // (self.framing.hop_length or 1)))
        edges = {*range(0, len(starts), part), len(starts)} | ({regular} if 0 < regular < len(starts) else set())
        for start, stop in pairwise(sorted(edges)):
            self._cut(starts[start:stop], frames[start:stop], silent[start:stop])
        return FrameBatch(frames, starts, silent)

    def _cut(self, starts: NDArray[np.int64], frames: NDArray[np.float32], silent: NDArray[np.bool_]) -> None:
        length, count = self.framing.frame_length, len(self.recording)
        width = min(2 * length if self.framing.normalization == "block" else length, count)
        windows = np.clip(starts - (width - length) // 2, 0, count - width)
        first = int(min(starts[0], windows[0]))
        last = min(int(max(starts[-1] + length, windows[-1] + width)), count)
        samples = self.recording.read(first, last)
        kernel = load_kernel()
        if kernel is not None and len(samples) >= length:
            scaled_by = 0 if self.framing.normalization == "none" else width
            places = (starts - first, windows - first)
            factor = self.framing.scale or 1.0
            kernel.cut(samples, *places, frames, silent, length, scaled_by, _LARGEST_AMPLITUDE, factor)
            return
        scale, silent[:] = self._scales(samples, starts - first, windows - first, width)
        if len(samples) < length:
            samples = np.resize(samples, length)
        _split(_windows(samples, starts - first, length), frames)
        if self.framing.normalization != "none" or self.framing.scale is not None:
            frames *= scale[:, None, None]

    def _scales(
        self, samples: NDArray[np.complex64], starts: NDArray[np.int64], windows: NDArray[np.int64], width: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the factor of each frame, and whether the frame is silent."""
        own = min(self.framing.frame_length, len(samples))
        sums = RunningSums(samples, int(np.gcd.reduce([own, width, *starts, *windows])))
        silent = ~(sums.power(starts, own) > 0)
        if self.framing.normalization == "none":
            return np.full(len(windows), self.framing.scale or 1.0, np.float32), silent
        power = sums.power(windows, width)
        deviation = np.sqrt(np.maximum(power - np.abs(sums.mean(windows, width)) ** 2, power / _LARGEST_AMPLITUDE**2))
        return (1 / np.where(silent, 1, deviation)).astype(np.float32), silent


def _split(samples: NDArray[np.complex64], frames: NDArray[np.float32]) -> None:
    """Write I and Q of complex64 (n, length) to float32 (n, 2, length).

    A sample is taken as one 64-bit number whose halves are I and Q: numpy narrows those eight at a time, where it would
    copy every other float one by one.
    """
    pairs, words = samples.view("<u8"), frames.view("<u4")
    np.copyto(words[:, 0], pairs, casting="unsafe")
    np.copyto(words[:, 1], pairs >> np.uint64(32), casting="unsafe")


def _windows(samples: NDArray[np.complex64], starts: NDArray[np.int64], length: int) -> NDArray[np.complex64]:
    """Return (n, length) samples from each start on; a view where the starts are regular."""
    views = np.lib.stride_tricks.sliding_window_view(samples, length)
    hop = int(starts[1] - starts[0]) if len(starts) > 1 else 1
    if (np.diff(starts) == hop).all():
        return views[starts[0] : starts[-1] + 1 : hop]
    return views[starts]


class RunningSums:
    """Means over windows whose edges are multiples of ``grain`` samples.

    Sums are float32 over at most 512 samples and float64 beyond, so that a long quiet stretch after a loud one keeps
    its digits.

    Args:
        samples: complex64 (N,).
        grain: Divides all starts and widths of windows; one that 32 does not divide is slower.
    """

    def __init__(self, samples: NDArray[np.complex64], grain: int) -> None:
        self.grain = next((part for part in (512, 256, 128, 64, 32) if grain % part == 0), 1)
        if self.grain == 1:
            values = samples.astype(np.complex128)
            self._power, self._sum = _cumulated(values.real**2 + values.imag**2), _cumulated(values)
            return
        count = len(samples) // self.grain
        rows = samples[: count * self.grain].view(np.float32).reshape(count, 2 * self.grain)
        self._power = _cumulated(np.einsum("ij,ij->i", rows, rows).astype(np.float64))
        self._sum = _cumulated(rows.view(np.complex64).sum(axis=1).astype(np.complex128))

    def power(self, starts: NDArray[np.int64], width: int) -> Any:
        """Return the mean of |x|² over ``width`` samples from each start on, float64."""
        first, last = starts // self.grain, (starts + width) // self.grain
        return (self._power[last] - self._power[first]) / width

    def mean(self, starts: NDArray[np.int64], width: int) -> Any:
        """Return the mean of x over ``width`` samples from each start on, complex128."""
        first, last = starts // self.grain, (starts + width) // self.grain
        return (self._sum[last] - self._sum[first]) / width


def _cumulated(values: NDArray[Any]) -> Any:
    return np.concatenate([np.zeros(1, values.dtype), np.cumsum(values)])


def _starts(count: int, length: int, hop: int) -> tuple[NDArray[np.int64], LastFrame]:
    if count < length:
        return np.zeros(1, np.int64), "repeated"
    starts = np.arange(0, count - length + 1, hop, dtype=np.int64)
    if starts[-1] + length == count:
        return starts, "whole"
    if hop > length:
        return starts, "left out"
    return np.append(starts, count - length), "overlaps"


def _normalization(recording: Recording, framing: Framing) -> Normalization:
    if framing.normalization != "auto":
        return framing.normalization
    if framing.scale is not None:
        return "none"
    if recording.frame_length is None:
        return "block"
    looked_at = recording.read(0, min(len(recording), _READY_FRAMES_LOOKED_AT * recording.frame_length))
    power = float(np.mean(np.abs(looked_at) ** 2))
    return "none" if READY_POWER[0] <= power <= READY_POWER[1] else "frame"
