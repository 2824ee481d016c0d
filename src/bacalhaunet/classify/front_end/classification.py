"""The modulation of every signal of a capture.

work = CaptureClassification(open_engine("network.onnx"), open_recording("capture.sigmf-meta"))
for answer in work.answers():
    print(answer.signal.center, answer.summary.label)

The signals of a capture and what they are, as JSON objects, CSV lines and SigMF annotations.

Frequencies are in Hz where the sample rate is known, and then those on the air where the capture's own frequency is
known; else in cycles a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bacalhaunet.classify.calibration import read_calibration
from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.frame_log import FrameLog
from bacalhaunet.classify.front_end.settings import FrontEndSettings
from bacalhaunet.classify.front_end.signals import Signal, channel_of, find_signals
from bacalhaunet.classify.groups import NOISE
from bacalhaunet.classify.picture import Box
from bacalhaunet.classify.recording import Classification, LabelledFrames, RecordingSummary
from bacalhaunet.classify.symbol_plane import signal_points
from bacalhaunet.data.recordings.frames import Normalization
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sigmf_writer import Annotation


@dataclass(frozen=True)
class SignalAnswer:
    """A signal with what it is taken to be.

    Attributes:
        number: Its place in order of start, from 0.
        signal: Where it is.
        summary: The answer pooled over its frames; ``samples`` counts those at 8 samples a symbol.
    """

    number: int
    signal: Signal
    summary: RecordingSummary


class CaptureClassification:
    """The classification of the signals of one capture, in memory bounded by a few batches of frames.

    Args:
        engine: The network.
        recording: The capture.
        settings: What of the front end is set by hand.
        frame_step: Samples, at 8 a symbol, from one frame's start to the next; None for the frame length.
        normalization: How frames are scaled; see ``data.recordings.frames.Framing``.
        scale: Samples are multiplied by this first.
        signals: The signals, if they were found before; see ``found_signals``.

    Attributes:
        signals: The signals, by their start.
        works: The classification of each of them at 8 samples a symbol.

    Raises:
        MissingExtraError: If scipy is not installed.
        RecordingError: If samples cannot be read.
        ConfigError: If a setting is out of range.
    """

    def __init__(
        self,
        engine: Engine,
        recording: Recording,
        settings: FrontEndSettings | None = None,
        *,
        frame_step: int | None = None,
        normalization: Normalization = "auto",
        scale: float | None = None,
        signals: Sequence[Signal] | None = None,
    ) -> None:
        self.engine, self.recording = engine, recording
        self._frame_step, self._normalization, self._scale = frame_step, normalization, scale
        self._calibration = read_calibration(engine.target)
        self.signals = list(find_signals(recording, settings) if signals is None else signals)
        self.works = [self.work_on(signal) for signal in self.signals]

    def __len__(self) -> int:
        """Return the number of frames of all signals."""
        return sum(map(len, self.works))

    def work_on(self, signal: Signal) -> Classification:
        """Return the classification of one signal at 8 samples a symbol."""
        channel = channel_of(self.recording, signal)
        rate = self.recording.sample_rate
        alone = Recording(self.recording.path, channel, float(channel.ratio) * rate if rate else None)
        return Classification(
            self.engine,
            alone,
            frame_step=self._frame_step,
            normalization=self._normalization,
            scale=self._scale,
            calibration=self._calibration,
        )

    def answers(
        self, frames: Callable[[int, LabelledFrames], None] | None = None, log: FrameLog | None = None
    ) -> Iterator[SignalAnswer]:
        """Classify signal after signal.

        Args:
            frames: Gets the number of the signal and its labelled frames, whose starts are samples of the capture.
            log: Frames it holds already are not computed again; those computed are kept in it.
        """
        for number, (signal, work) in enumerate(zip(self.signals, self.works, strict=True)):
            ratio = channel_of(self.recording, signal).ratio
            for batch in work.batches(log=log):
                if frames is not None:
                    starts = signal.start + batch.starts * ratio.denominator // ratio.numerator
                    frames(number, replace(batch, starts=starts))
            yield SignalAnswer(number, signal, work.summary())


def found_signals(
    recording: Recording,
    settings: FrontEndSettings,
    log: FrameLog | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Signal]:
    """Return the signals of a capture: those the log holds, else those found now, which the log then keeps.

    Raises:
        MissingExtraError: If scipy is not installed.
        RecordingError: If samples cannot be read.
    """
    kept = log.note() if log is not None else None
    if kept is not None:
        return [Signal(**values) for values in kept]
    signals = find_signals(recording, settings, progress)
    if log is not None:
        log.keep_note([asdict(signal) for signal in signals])
    return signals


NO_SIGNAL = "no signal"

COLUMNS = (
    *(
        "start",
        "stop",
        "center",
        "bandwidth",
        "symbol_rate",
        "snr_db",
        "label",
        "confidence",
        "group",
        "group_confidence",
    ),
    *("agreement", "frames", "center_from", "symbol_rate_from", "time", "duration"),
)
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

    def said(self, frequency: float, sample: int) -> float:
        """Return a place in the band, in cycles a sample, as a frequency in the unit."""
        return self.zero(sample) + self.width(frequency)

    def width(self, value: float) -> float:
        """Return a width or a rate, in cycles a sample, in the unit."""
        return value * (self.recording.sample_rate or 1.0)

    def settings(
        self, detect: bool, center: float | None, bandwidth: float | None, symbol_rate: float | None
    ) -> FrontEndSettings:
        """Return settings from values in the unit.

        Raises:
            ConfigError: If one is out of range.
        """
        rate = self.recording.sample_rate or 1.0
        return FrontEndSettings(
            detect,
            None if center is None else (center - self.zero(0)) / rate,
            None if bandwidth is None else bandwidth / rate,
            None if symbol_rate is None else symbol_rate / rate,
        )


def shown_label(summary: RecordingSummary) -> str:
    """Return the label of a signal; ``no signal`` where it is silent or the network takes it for noise."""
    return NO_SIGNAL if summary.label in (None, NOISE) else str(summary.label)


def signal_object(answer: SignalAnswer, recording: Recording) -> dict[str, Any]:
    """Return the JSON object of a signal: ``COLUMNS`` and ``probabilities``."""
    signal, summary, unit = answer.signal, answer.summary, Frequencies(recording)
    rate = recording.sample_rate
    values: dict[str, Any] = {
        "start": signal.start,
        "stop": signal.stop,
        "center": unit.said(signal.center, signal.start),
        "bandwidth": unit.width(signal.bandwidth),
        "symbol_rate": None if signal.symbol_rate is None else unit.width(signal.symbol_rate),
        "snr_db": signal.snr_db,
        "label": summary.label,
        "confidence": summary.confidence,
        "group": summary.group,
        "group_confidence": summary.group_confidence,
        "agreement": summary.agreement,
        "frames": summary.frames,
        "center_from": signal.center_from,
        "symbol_rate_from": signal.symbol_rate_from,
        "time": signal.start / rate if rate else None,
        "duration": (signal.stop - signal.start) / rate if rate else None,
    }
    return values | {"probabilities": summary.probabilities}


def capture_summary(answers: Sequence[SignalAnswer], recording: Recording, network: str, engine: str) -> dict[str, Any]:
    """Return the object under ``summary``: the answer for the signal with the most frames, and what was found.

    ``answer`` is its label, or ``no signal``. What the network takes for noise counts last.
    """
    largest = max(answers, key=lambda one: (one.summary.label != NOISE, one.summary.frames), default=None)
    pooled = largest.summary if largest else None
    return {
        "answer": shown_label(pooled) if pooled else NO_SIGNAL,
        "label": pooled.label if pooled else None,
        "confidence": pooled.confidence if pooled else 0.0,
        "group": pooled.group if pooled else None,
        "group_confidence": pooled.group_confidence if pooled else 0.0,
        "agreement": pooled.agreement if pooled else 0.0,
        "probabilities": pooled.probabilities if pooled else {},
        "signal": largest.number if largest else None,
        "signals": len(answers),
        "frames": sum(one.summary.frames for one in answers),
        "silent_frames": sum(one.summary.silent_frames for one in answers),
        "samples": len(recording),
        "sample_rate": recording.sample_rate,
        "frequency_unit": Frequencies(recording).unit,
        "file": str(recording.path),
        "network": network,
        "engine": engine,
    }


def signal_boxes(answers: Sequence[SignalAnswer], recording: Recording) -> list[Box]:
    """Return a box of the picture for each signal, with its constellation."""
    unit = Frequencies(recording)
    scale, name = (1e-3, "kBd") if recording.sample_rate else (1.0, "symbols a sample")
    boxes = []
    for answer in answers:
        signal, summary = answer.signal, answer.summary
        notes = [f"{100 * summary.confidence:.0f} %"]
        if signal.symbol_rate is not None:
            notes.append(f"{scale * unit.width(signal.symbol_rate):.4g} {name}")
        if signal.snr_db is not None:
            notes.append(f"{signal.snr_db:.0f} dB")
        boxes.append(
            Box(
                signal.start,
                signal.stop,
                signal.center - signal.bandwidth / 2,
                signal.center + signal.bandwidth / 2,
                shown_label(summary),
                ", ".join(notes),
                signal_points(recording, signal),
            )
        )
    return boxes


def signal_annotations(answers: Sequence[SignalAnswer], recording: Recording, network: str) -> list[Annotation]:
    """Return a SigMF annotation for each signal, with the edges of its band if the sample rate is known."""
    unit, known = Frequencies(recording), recording.sample_rate is not None
    notes = []
    for answer in answers:
        signal, summary = answer.signal, answer.summary
        half = signal.bandwidth / 2
        words = [f"confidence {summary.confidence:.3f}, {summary.frames} frames"]
        words.append(f"group {summary.group} {summary.group_confidence:.3f}")
        if signal.symbol_rate is not None:
            words.append(f"symbol rate {unit.width(signal.symbol_rate):.6g} {unit.unit}")
        if signal.snr_db is not None:
            words.append(f"SNR {signal.snr_db:.1f} dB")
        notes.append(
            Annotation(
                sample_start=signal.start,
                sample_count=signal.stop - signal.start,
                label=shown_label(summary),
                comment="; ".join([", ".join(words), network]),
                freq_lower_edge=unit.said(signal.center - half, signal.start) if known else None,
                freq_upper_edge=unit.said(signal.center + half, signal.start) if known else None,
            )
        )
    return notes
