"""The modulation of every signal of a capture.

work = CaptureClassification(open_engine("network.onnx"), open_recording("capture.sigmf-meta"))
for answer in work.answers():
    print(answer.signal.center, answer.summary.label)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from bacalhaunet.classify.calibration import read_calibration
from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.frame_log import FrameLog
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
    """The classification of the signals of one capture, in memory bounded by a few batches of frames.

    Args:
        engine: The network.
        recording: The capture.
        settings: What of the front end is set by hand.
        frame_step: Samples, at 8 a symbol, from one frame's start to the next; None for the frame length.
        normalization: How frames are scaled; see ``recording_frames.Framing``.
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
