r"""One answer for a signal, pooled over its frames.

.. math:: P_k(t) \propto \exp\left( \frac{n_e}{n} \sum_i w_i \log p_{k,i} \right), \qquad n = \sum_i w_i, \qquad
          n_e = \frac{n}{1 + (n - 1) \rho}, \qquad w_i = e^{-(t - t_i) / \tau}

The frames' probabilities are multiplied as if `n_e` of the n frames were independent (``classify.calibration``). Frames
that overlap count as many as fit side by side. The label is that of the frames' mean logits, whatever `\rho` and the
temperature are. In a recording every frame counts the same (`\tau = \infty`). In a stream old frames are forgotten; a
signal that changes its modulation is not left to the forgetting: enough frames in a row that say otherwise start anew.

``NamedSignal`` is a signal with its answer, in the units that people read: the one form of every output. Frequencies
are in Hz where the sample rate is known, and then those on the air where the capture's own frequency is known; else
in cycles a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.front_end.constellation import signal_points
from bacalhaunet.classify.front_end.signals import Signal
from bacalhaunet.classify.picture import Box
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sigmf_writer import Annotation
from bacalhaunet.radio.class_set import ClassSet

STREAM_MEMORY_S = 3.0
"""The time constant of a stream's answers."""

_AGAINST_FRAMES = 24
_AGAINST_BLOCKS = 2
_SMALLEST = np.float32(1e-30)


@dataclass(frozen=True)
class Answer:
    """What the frames of a signal say together.

    Attributes:
        label: The most probable class; None without frames.
        confidence: Its probability.
        group: The most probable group of classes; None without frames.
        group_confidence: Its probability.
        agreement: Share of the frames whose own label it is.
        probabilities: Probability of each class, largest first.
    """

    label: str | None
    confidence: float
    group: str | None
    group_confidence: float
    agreement: float
    probabilities: dict[str, float]


class _Sums:
    """What is added up over frames: logarithms of probabilities, own labels, and how many frames there were."""

    def __init__(self, classes: int) -> None:
        self.logarithms, self.votes = np.zeros(classes), np.zeros(classes)
        self.frames: float = 0

    def add(self, other: _Sums, decay: float = 1.0) -> None:
        self.logarithms = decay * self.logarithms + other.logarithms
        self.votes = decay * self.votes + other.votes
        self.frames = decay * self.frames + other.frames

    @property
    def best(self) -> int:
        """The number of the most probable class."""
        return int(self.logarithms.argmax())


class Pool:
    """Adds up frames' probabilities.

    Args:
        classes: The classes, with their groups.
        calibration: How much several frames say together.
        overlap: Share of each frame's samples that the frame before it did not have; 1 where frames do not overlap.
        memory_s: The time constant of forgetting, in seconds; None forgets nothing.

    Attributes:
        classes: The classes.
        silent: Frames of zeros, which are in no answer.
    """

    def __init__(
        self,
        classes: ClassSet,
        calibration: Calibration | None = None,
        overlap: float = 1.0,
        memory_s: float | None = None,
    ) -> None:
        self.classes = classes
        self._calibration, self._overlap, self._memory_s = calibration or Calibration(), overlap, memory_s
        self.clear()

    def clear(self) -> None:
        """Forget all frames."""
        self.silent, self._time, self._sums = 0, 0.0, _Sums(len(self.classes))
        self._forget_against()

    @property
    def heard(self) -> float:
        """Frames in the answer, old ones counted less."""
        return self._sums.frames

    def add(self, probabilities: NDArray[np.float32], silent: NDArray[np.bool_] | None = None, time: float = 0) -> None:
        """Add frames.

        Args:
            probabilities: float32 (n, classes).
            silent: bool (n,), frames that say nothing; None for none.
            time: When they came, in seconds; of use where old frames are forgotten.
        """
        heard = probabilities if silent is None else probabilities[~silent]
        self.silent += len(probabilities) - len(heard)
        new = _Sums(len(self.classes))
        new.logarithms = np.log(np.maximum(heard, _SMALLEST)).sum(axis=0, dtype=np.float64)
        new.votes = np.bincount(heard.argmax(axis=1), minlength=len(self.classes)).astype(np.float64)
        new.frames = len(heard)
        if self._memory_s is None:
            self._sums.add(new)
        elif len(heard):
            self._add_to_stream(new, time, self._memory_s)

    def _add_to_stream(self, new: _Sums, time: float, memory_s: float) -> None:
        if self.heard and new.best != self._sums.best:
            self._against.add(new)
            self._against_blocks += 1
        else:
            self._forget_against()
        self._sums.add(new, float(np.exp(-max(0.0, time - self._time) / memory_s)))
        self._time = max(time, self._time)
        if self._against.frames >= _AGAINST_FRAMES and self._against_blocks >= _AGAINST_BLOCKS:
            self._sums = self._against
            self._forget_against()

    def _forget_against(self) -> None:
        self._against, self._against_blocks = _Sums(len(self.classes)), 0

    def answer(self) -> Answer:
        """Return the answer over the frames so far."""
        sums, heard = self._sums, self.heard
        if not heard:
            return Answer(None, 0.0, None, 0.0, 0.0, dict.fromkeys(self.classes.names, 0.0))
        independent = self._calibration.independent_frames(heard * self._overlap)
        exponents = sums.logarithms * (independent / max(heard, 1.0))
        pooled: Any = np.exp(exponents - exponents.max())
        pooled /= pooled.sum()
        order = np.argsort(-sums.logarithms, kind="stable").tolist()
        groups: dict[str, float] = {}
        for number in order:
            group = self.classes.group_of[number]
            groups[group] = groups.get(group, 0.0) + float(pooled[number])
        group = max(groups, key=lambda name: groups[name])
        ranked = {self.classes.names[number]: float(pooled[number]) for number in order}
        label = self.classes.names[sums.best]
        agreement = float(sums.votes[sums.best] / heard)
        return Answer(label, ranked[label], group, min(groups[group], 1.0), agreement, ranked)


NO_SIGNAL = "no signal"
NOISE = "noise"
"""Name of the class of networks that know frames without a signal (``radio.field.noise.NOISE_NAME``)."""


_DRAWN_WIDTH = 0.96
"""Widest box in a picture: a little less than the band, so that it is seen."""


@dataclass(frozen=True)
class NamedSignal:
    """A signal with what it is taken to be. Frequencies are in Hz, or cycles a sample if the sample rate is unknown.

    Attributes:
        start: Its first sample in the capture.
        stop: The first sample after its end.
        center: Centre frequency; on the air where the capture's own frequency is known.
        bandwidth: Width of the band above the noise.
        symbol_rate: Symbols a second; None if none was found, as for analog modulations.
        snr_db: Ratio of the signal's to the noise's power in the band, dB; None if the noise is unknown.
        label: The most probable class; None if the signal is silent.
        confidence: Its probability, pooled over the frames.
        group: The most probable group of classes; None if the signal is silent.
        group_confidence: Its probability.
        agreement: Share of the frames whose own label it is.
        frames: Frames that the answer is from.
        center_from: How the centre was found; see ``front_end.signals.Signal``.
        symbol_rate_from: How the symbol rate was found.
        time: When it begins, in seconds from the first sample; None if the sample rate is unknown.
        duration: How long it lasts, in seconds; None if the sample rate is unknown.
        probabilities: Probability of each class, largest first.
        place: The signal in cycles a sample.
        silent_frames: Those of the frames that hold zeros only.
    """

    start: int
    stop: int
    center: float
    bandwidth: float
    symbol_rate: float | None
    snr_db: float | None
    label: str | None
    confidence: float
    group: str | None
    group_confidence: float
    agreement: float
    frames: int
    center_from: str
    symbol_rate_from: str
    time: float | None
    duration: float | None
    probabilities: dict[str, float]
    place: Signal = field(repr=False)
    silent_frames: int = field(default=0, repr=False)

    @property
    def shown(self) -> str:
        """The label; ``no signal`` where it is silent or the network takes it for noise."""
        return NO_SIGNAL if self.label in (None, NOISE) else str(self.label)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object: ``COLUMNS`` and ``probabilities``."""
        return {name: getattr(self, name) for name in (*COLUMNS, "probabilities")}


COLUMNS = tuple(NamedSignal.__dataclass_fields__)[:-3]
"""What is written of a signal, before its probabilities."""


@dataclass(frozen=True)
class Frequencies:
    """The unit in which a recording's frequencies are said.

    Attributes:
        recording: The recording.
    """

    recording: Recording

    @property
    def unit(self) -> str:
        """``Hz`` or ``cycles/sample``."""
        return "Hz" if self.recording.sample_rate else "cycles/sample"

    def zero(self, sample: int) -> float:
        """Return the frequency of the middle of the band at a sample; 0 where unknown."""
        before = [one for one in self.recording.captures if one.start <= sample and one.frequency is not None]
        return float(before[-1].frequency or 0.0) if before and self.recording.sample_rate else 0.0

    def frequency(self, cycles: float, sample: int) -> float:
        """Return a place in the band, in cycles a sample, as a frequency in the unit."""
        return self.zero(sample) + self.width(cycles)

    def width(self, value: float) -> float:
        """Return a width or a rate, in cycles a sample, in the unit."""
        return value * (self.recording.sample_rate or 1.0)

    def cycles(self, value: float | None, zero: float = 0.0) -> float | None:
        """Return a value in the unit, less ``zero``, in cycles a sample; None for None."""
        return None if value is None else (value - zero) / (self.recording.sample_rate or 1.0)


def named_signal(
    signal: Signal, answer: Answer, frames: int, recording: Recording, silent_frames: int = 0
) -> NamedSignal:
    """Return a signal of a recording with its answer."""
    unit, rate = Frequencies(recording), recording.sample_rate
    return NamedSignal(
        **vars(answer),
        start=signal.start,
        stop=signal.stop,
        center=unit.frequency(signal.center, signal.start),
        bandwidth=unit.width(signal.bandwidth),
        symbol_rate=None if signal.symbol_rate is None else unit.width(signal.symbol_rate),
        snr_db=signal.snr_db,
        frames=frames,
        center_from=signal.center_from,
        symbol_rate_from=signal.symbol_rate_from,
        time=signal.start / rate if rate else None,
        duration=(signal.stop - signal.start) / rate if rate else None,
        place=signal,
        silent_frames=silent_frames,
    )


def capture_summary(signals: Sequence[NamedSignal], recording: Recording, network: str, engine: str) -> dict[str, Any]:
    """Return the object under ``summary``: the answer for the signal with the most frames, and what was found.

    ``answer`` is its label, or ``no signal``. What the network takes for noise counts last.
    """
    largest = max(signals, key=lambda one: (one.label != NOISE, one.frames), default=None)
    answer = Answer(None, 0.0, None, 0.0, 0.0, {}) if largest is None else largest
    fields = ("label", "confidence", "group", "group_confidence", "agreement", "probabilities")
    return {
        "answer": NO_SIGNAL if largest is None else largest.shown,
        **{name: getattr(answer, name) for name in fields},
        "signal": None if largest is None else signals.index(largest),
        "signals": len(signals),
        "frames": sum(one.frames for one in signals),
        "silent_frames": sum(one.silent_frames for one in signals),
        "samples": len(recording),
        "sample_rate": recording.sample_rate,
        "frequency_unit": Frequencies(recording).unit,
        "file": str(recording.path),
        "network": network,
        "engine": engine,
    }


def signal_boxes(signals: Sequence[NamedSignal], recording: Recording, constellations: bool = True) -> list[Box]:
    """Return a box of the picture for each signal, with its constellation if asked for."""
    scale, name = (1e-3, "kBd") if recording.sample_rate else (1.0, "symbols a sample")
    boxes = []
    for one in signals:
        notes = [f"{100 * one.confidence:.0f} %"]
        if one.symbol_rate is not None:
            notes.append(f"{scale * one.symbol_rate:.4g} {name}")
        if one.snr_db is not None:
            notes.append(f"{one.snr_db:.0f} dB")
        half = min(one.place.bandwidth, _DRAWN_WIDTH) / 2
        low, high = one.place.center - half, one.place.center + half
        points = signal_points(recording, one.place) if constellations else None
        boxes.append(Box(one.start, one.stop, low, high, one.shown, ", ".join(notes), points))
    return boxes


def signal_annotations(signals: Sequence[NamedSignal], recording: Recording, network: str) -> list[Annotation]:
    """Return a SigMF annotation for each signal, with the edges of its band if they and the sample rate are known."""
    unit = Frequencies(recording)
    notes = []
    for one in signals:
        words = [f"confidence {one.confidence:.3f}, {one.frames} frames"]
        if one.group is not None:
            words.append(f"group {one.group} {one.group_confidence:.3f}")
        if one.symbol_rate is not None:
            words.append(f"symbol rate {one.symbol_rate:.6g} {unit.unit}")
        if one.snr_db is not None:
            words.append(f"SNR {one.snr_db:.1f} dB")
        known = recording.sample_rate is not None and one.place.bandwidth < 1
        notes.append(
            Annotation(
                sample_start=one.start,
                sample_count=one.stop - one.start,
                label=one.shown,
                comment="; ".join([", ".join(words), network]),
                freq_lower_edge=unit.frequency(one.place.low, one.start) if known else None,
                freq_upper_edge=unit.frequency(one.place.high, one.start) if known else None,
            )
        )
    return notes
