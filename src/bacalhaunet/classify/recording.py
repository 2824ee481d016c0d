"""The modulation of a recording of any length: frames, labels, probabilities and one pooled answer.

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.recording import Classification
from bacalhaunet.data.recordings.recording import open_recording

work = Classification(open_engine("network.onnx"), open_recording("signal.sigmf-meta"))
for batch in work.batches():
print(batch.starts, batch.labels)
print(work.summary().label)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.recording_frames import BATCH, FrameCutter, Framing, Normalization
from bacalhaunet.classify.recording_summary import Pool, RecordingSummary
from bacalhaunet.data.recordings.recording import Recording, recording_of


@dataclass(frozen=True)
class LabelledFrames:
    """Frames with their answers.

    Attributes:
        starts: int64 (n,), first sample of each frame.
        probabilities: float32 (n, classes); they mean nothing where ``silent``.
        silent: bool (n,), frames of zeros.
        names: Class names.
    """

    starts: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    silent: NDArray[np.bool_]
    names: tuple[str, ...]

    @property
    def labels(self) -> list[str | None]:
        """The most probable class of each frame; None where silent."""
        best = self.probabilities.argmax(axis=1)
        return [None if quiet else self.names[k] for k, quiet in zip(best, self.silent, strict=True)]


class Classification:
    """The classification of one recording, in memory bounded by a batch of frames.

    Args:
        engine: The network.
        recording: The recording.
        frame_step: Samples from one frame's start to the next; None for the frame length.
        normalization: How frames are scaled; see ``recording_frames.Framing``.
        scale: Samples are multiplied by this first.

    Raises:
        RecordingError: If the recording does not fit the network.
        ConfigError: If a setting is out of range.
    """

    def __init__(
        self,
        engine: Engine,
        recording: Recording,
        *,
        frame_step: int | None = None,
        normalization: Normalization = "auto",
        scale: float | None = None,
    ) -> None:
        self.engine, self.recording = engine, recording
        self.cutter = FrameCutter(recording, Framing(engine.frame_length, frame_step, normalization, scale))
        self._pool = Pool(engine.labels)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.cutter)

    def batches(self, size: int = BATCH) -> Iterator[LabelledFrames]:
        """Classify the frames in order, ``size`` at a time, from the first one on."""
        self._pool = Pool(self.engine.labels)
        for frames, starts, silent in self.cutter.batches(size):
            probabilities = softmax(self.engine.logits(frames))
            self._pool.add(probabilities, silent)
            yield LabelledFrames(starts, probabilities, silent, tuple(self.engine.labels))

    def summary(self) -> RecordingSummary:
        """Return the pooled answer over the frames that ``batches`` has given so far; over all if none."""
        if not self._pool.frames:
            for _ in self.batches():
                pass
        label, confidence, agreement, probabilities = self._pool.answer()
        framing = self.cutter.framing
        return RecordingSummary(
            label=label,
            confidence=confidence,
            agreement=agreement,
            probabilities=probabilities,
            frames=self._pool.frames,
            silent_frames=self._pool.silent,
            samples=len(self.recording),
            sample_rate=self.recording.sample_rate,
            frame_length=framing.frame_length,
            frame_step=framing.frame_step or framing.frame_length,
            normalization=framing.normalization,
            scale=framing.scale,
            last_frame=self.cutter.last_frame,
            file=str(self.recording.path),
            network=self.engine.target,
            engine=self.engine.name,
        )


def classify_array(engine: Engine, array: NDArray[np.generic], **settings: object) -> RecordingSummary:
    """Classify complex samples (N,), or ready frames (n, 2, frame_length); ``settings`` as of ``Classification``."""
    return Classification(engine, recording_of(array), **settings).summary()  # type: ignore[arg-type]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    r"""Return `e^{z_k} / \sum_j e^{z_j}` along the last axis, float32."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)
