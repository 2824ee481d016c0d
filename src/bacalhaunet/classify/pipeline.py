"""Samples -> signals -> answers: the one way from a recording to the names of what it holds.

A recording that is taken as it is is a capture with one signal, itself. The signals of a capture are found by
``front_end.signals.find_signals``; each is centred and brought to 8 samples a symbol. Either way a signal is cut into
frames, the network names them, and its answer is pooled over them. A stream goes the same way, block by block.

>>> import numpy as np
>>> from bacalhaunet.classify.engines import open_engine
>>> from bacalhaunet.data.recordings.recording import recording_of
>>> samples = np.exp(0.25j * np.pi * np.random.default_rng(1).integers(0, 8, 4096))
>>> work = Classification(open_engine("lite"), recording_of(samples))
>>> for batch in work.batches():
...     print(batch.starts)
[   0 1024 2048 3072]
>>> work.summary().frames
4
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from html import escape
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.answers import Answer, NamedSignal, Pool, capture_summary, named_signal
from bacalhaunet.classify.classifier import Classifier, as_classifier
from bacalhaunet.classify.engines import Engine, cores
from bacalhaunet.classify.frame_log import FrameLog
from bacalhaunet.classify.front_end.signals import Signal, channel_of
from bacalhaunet.data.recordings.frames import BATCH, FrameCutter, Framing, LastFrame, Normalization
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.prefetch import prefetch
from bacalhaunet.radio.class_set import ClassSet


@dataclass(frozen=True)
class RecordingSummary(Answer):
    """What a recording that is taken as one signal is taken to be: the answer, without one if every frame is silent.

    Attributes:
        frames: Number of frames, silent ones included.
        silent_frames: Frames of zeros; they get no label and are not pooled.
        samples: Complex samples of the recording.
        sample_rate: Samples per second; None if unknown.
        frame_length: Samples of a frame.
        hop_length: Samples from frame to frame.
        normalization: How frames were scaled.
        scale: Factor the samples were multiplied with; None for none.
        last_frame: What became of the last samples.
        file: The recording.
        network: The network.
        engine: What computed it.
        temperature: Logits were divided by this; 1 for a network that nobody calibrated.
    """

    frames: int
    silent_frames: int
    samples: int
    sample_rate: float | None
    frame_length: int
    hop_length: int
    normalization: Normalization
    scale: float | None
    last_frame: LastFrame
    file: str
    network: str
    engine: str
    temperature: float

    def to_dict(self) -> dict[str, Any]:
        """Return the object under ``summary`` of ``--json``."""
        return {"frame_step" if name == "hop_length" else name: value for name, value in vars(self).items()}

    def _repr_html_(self) -> str:
        label, others = escape(self.label or "silence"), list(self.probabilities.items())[:5]
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{100 * value:.1f} %</td></tr>" for name, value in others)
        return f"<b>{label}</b>, {100 * self.confidence:.1f} %, {self.frames} frames<table>{rows}</table>"


@dataclass(frozen=True)
class LabelledFrames:
    """Frames with their answers.

    Attributes:
        starts: int64 (n,), first sample of each frame in the recording.
        probabilities: float32 (n, classes); they mean nothing where ``silent``.
        silent: bool (n,), frames of zeros.
        classes: The classes.
        signal: Number of the signal they belong to; None where the recording is taken as it is.
    """

    starts: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    silent: NDArray[np.bool_]
    classes: ClassSet
    signal: int | None = None

    @property
    def labels(self) -> list[str | None]:
        """The most probable class of each frame; None where silent."""
        best = self.probabilities.argmax(axis=1).tolist()
        return [None if quiet else self.classes.names[k] for k, quiet in zip(best, self.silent.tolist(), strict=True)]


@dataclass
class _Part:
    """A signal with its frames and what they said so far.

    Attributes:
        signal: Where it is.
        cutter: Its frames.
        ratio: Samples of its frames for a sample of the recording.
        pool: What its frames said.
    """

    signal: Signal
    cutter: FrameCutter
    ratio: Fraction
    pool: Pool

    @classmethod
    def of(cls, recording: Recording, signal: Signal | None, framing: Framing, classifier: Classifier) -> Self:
        """Return the part of a signal; None takes the recording as it is."""
        ratio, alone = Fraction(1), recording
        if signal is not None:
            channel = channel_of(recording, signal)
            rate, ratio = recording.sample_rate, channel.ratio
            alone = Recording(recording.path, channel, float(ratio) * rate if rate else None)
        cutter = FrameCutter(alone, framing)
        overlap = min(1.0, (cutter.framing.hop_length or framing.frame_length) / framing.frame_length)
        whole = Signal(0, len(recording), 0.0, 1.0, center_from="hand")
        return cls(signal or whole, cutter, ratio, Pool(classifier.classes, classifier.calibration, overlap))

    @property
    def frames(self) -> int:
        """Frames that were pooled, silent ones included."""
        return int(self.pool.heard) + self.pool.silent

    def starts(self, first: int, last: int) -> NDArray[np.int64]:
        """Return the first samples of some frames in the recording."""
        starts = self.cutter.starts[first:last]
        return self.signal.start + starts * self.ratio.denominator // self.ratio.numerator


class Classification:
    """The classification of one recording, in memory bounded by a few batches of frames.

    Frames are cut on other threads while the engine works on those before.

    Args:
        network: The network.
        recording: The recording.
        signals: Its signals, each centred and brought to 8 samples a symbol; None takes the recording as it is, as one
            signal.
        hop_length: Samples from one frame's start to the next; None for the frame length.
        normalization: How frames are scaled; see ``data.recordings.frames.Framing``.
        scale: Samples are multiplied by this first.
        threads: Threads that cut frames; None for one a core.

    Attributes:
        engine: The network.
        recording: The recording.
        signals: Its signals; None where it is taken as it is.

    Raises:
        RecordingError: If the recording does not fit the network.
        ConfigError: If a setting is out of range.
        ModelFileError: If the network's calibration is damaged.
    """

    def __init__(
        self,
        network: Engine | Classifier,
        recording: Recording,
        signals: Sequence[Signal] | None = None,
        *,
        hop_length: int | None = None,
        normalization: Normalization = "auto",
        scale: float | None = None,
        threads: int | None = None,
    ) -> None:
        self._classifier, self._threads = as_classifier(network), threads or cores()
        self.engine, self.recording, self.signals = self._classifier.engine, recording, signals
        framing = Framing(self.engine.frame_length, hop_length, normalization, scale)
        self._parts = [
            _Part.of(recording, signal, framing, self._classifier)
            for signal in ([None] if signals is None else signals)
        ]

    def __len__(self) -> int:
        """Return the number of frames of all signals."""
        return sum(len(part.cutter) for part in self._parts)

    def batches(self, size: int = BATCH, log: FrameLog | None = None) -> Iterator[LabelledFrames]:
        """Classify the frames in order, signal after signal, ``size`` at a time, from the first one on.

        Args:
            size: Frames of a batch.
            log: Frames it holds already are not computed again; those computed are kept in it.
        """
        calibration, classes = self._classifier.calibration, self._classifier.classes
        for number, part in enumerate(self._parts):
            done = 0
            part.pool.clear()
            for logits, silent in self._logits(part.cutter, size, log):
                probabilities, last = calibration.probabilities(logits), done + len(logits)
                part.pool.add(probabilities, silent)
                signal = None if self.signals is None else number
                yield LabelledFrames(part.starts(done, last), probabilities, silent, classes, signal)
                done = last

    def _logits(
        self, cutter: FrameCutter, size: int, log: FrameLog | None
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        """Yield logits and silence of the frames of a signal in order."""
        done, classes = 0, len(self.engine.labels)
        while log is not None and done < len(cutter) and (kept := log.frames(classes)) is not None:
            yield kept
            done += len(kept[0])
        cuts = (partial(cutter.batch, first, first + size) for first in range(done, len(cutter), size))
        for frames, _, silent in prefetch(cuts, self._threads):
            logits = self._classifier.logits(frames)
            if log is not None:
                log.keep_frames(logits, silent)
            yield logits, silent

    def answers(self) -> list[NamedSignal]:
        """Return the signals with the answers over the frames that ``batches`` has given; over all if it gave none."""
        self._complete()
        return [
            named_signal(part.signal, part.pool.answer(), part.frames, self.recording, part.pool.silent)
            for part in self._parts
        ]

    def capture_summary(self) -> dict[str, Any]:
        """Return the object under ``summary`` of ``scan --json``; of the frames that ``answers`` is over."""
        return capture_summary(self.answers(), self.recording, self.engine.target, self.engine.name)

    def summary(self) -> RecordingSummary:
        """Return the answer for the first signal over the frames that ``answers`` is over, with what was done."""
        self._complete()
        part = self._parts[0]
        framing = part.cutter.framing
        return RecordingSummary(
            **vars(part.pool.answer()),
            frames=part.frames,
            silent_frames=part.pool.silent,
            samples=len(part.cutter.recording),
            sample_rate=part.cutter.recording.sample_rate,
            frame_length=framing.frame_length,
            hop_length=framing.hop_length or framing.frame_length,
            normalization=framing.normalization,
            scale=framing.scale,
            last_frame=part.cutter.last_frame,
            file=str(self.recording.path),
            network=self.engine.target,
            engine=self.engine.name,
            temperature=self._classifier.calibration.temperature,
        )

    def _complete(self) -> None:
        if not any(part.frames for part in self._parts):
            for _ in self.batches():
                pass
