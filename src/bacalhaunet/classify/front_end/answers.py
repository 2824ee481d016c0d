"""The signals of a capture and what they are, as JSON objects, CSV lines and SigMF annotations.

Frequencies are in Hz where the sample rate is known, and then those on the air where the capture's own frequency is
known; else in cycles a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bacalhaunet.classify.front_end.classification import SignalAnswer
from bacalhaunet.classify.front_end.settings import FrontEndSettings
from bacalhaunet.classify.groups import NOISE
from bacalhaunet.classify.picture import Box
from bacalhaunet.classify.recording_summary import RecordingSummary
from bacalhaunet.classify.signal_points import signal_points
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sigmf_writer import Annotation

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
