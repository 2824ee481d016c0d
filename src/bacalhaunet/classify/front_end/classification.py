"""The modulation of every signal of a capture.

work = CaptureClassification(open_engine("network.onnx"), open_recording("capture.sigmf-meta"))
for answer in work.answers():
    print(answer.signal.center, answer.summary.label)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.front_end.settings import FrontEndSettings
from bacalhaunet.classify.front_end.signals import Signal, channel_of, find_signals
from bacalhaunet.classify.recording import Classification, LabelledFrames
from bacalhaunet.classify.recording_frames import Normalization
from bacalhaunet.classify.recording_summary import RecordingSummary
from bacalhaunet.data.recordings.recording import Recording


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
    """The classification of the signals of one capture, in memory bounded by a batch of frames.

    Args:
        engine: The network.
        recording: The capture.
        settings: What of the front end is set by hand.
        frame_step: Samples, at 8 a symbol, from one frame's start to the next; None for the frame length.
        normalization: How frames are scaled; see ``recording_frames.Framing``.
        scale: Samples are multiplied by this first.

    Attributes:
        signals: The signals, by their start.

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
    ) -> None:
        self.engine, self.recording = engine, recording
        self._frame_step, self._normalization, self._scale = frame_step, normalization, scale
        self.signals = find_signals(recording, settings)

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
        )

    def answers(self, frames: Callable[[int, LabelledFrames], None] | None = None) -> Iterator[SignalAnswer]:
        """Classify signal after signal.

        Args:
            frames: Gets the number of the signal and its labelled frames, whose starts are samples of the capture.
        """
        for number, signal in enumerate(self.signals):
            work = self.work_on(signal)
            ratio = channel_of(self.recording, signal).ratio
            for batch in work.batches():
                if frames is not None:
                    starts = signal.start + batch.starts * ratio.denominator // ratio.numerator
                    frames(number, replace(batch, starts=starts))
            yield SignalAnswer(number, signal, work.summary())
