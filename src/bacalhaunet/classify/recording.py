r"""The modulation of a recording of any length: frames, labels, probabilities and one pooled answer.

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.recording import Classification
from bacalhaunet.data.recordings.recording import open_recording

work = Classification(open_engine("network.onnx"), open_recording("signal.sigmf-meta"))
for batch in work.batches():
print(batch.starts, batch.labels)
print(work.summary().label)

One answer for a recording, pooled over its frames.

.. math:: P_k \propto \exp\left( \frac{n_e}{n} \sum_{i=1}^n \log p_{k,i} \right), \qquad
          n_e = \frac{n}{1 + (n - 1) \rho}

The frames' probabilities are multiplied as if `n_e` of the n frames were independent (``classify.calibration``). Frames
that overlap count as many as fit side by side. The label is that of the frames' mean logits, whatever `\rho` and the
temperature are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.calibration import Calibration, read_calibration
from bacalhaunet.classify.engines import Engine, cores
from bacalhaunet.classify.frame_log import FrameLog
from bacalhaunet.classify.groups import group_probabilities
from bacalhaunet.data.recordings.frames import BATCH, FrameCutter, Framing, LastFrame, Normalization
from bacalhaunet.data.recordings.recording import Recording, recording_of
from bacalhaunet.errors import ModelFileError
from bacalhaunet.prefetch import prefetch

_SMALLEST = np.float32(1e-30)


@dataclass(frozen=True)
class RecordingSummary:
    """What a recording is taken to be.

    Attributes:
        label: The most probable class; None if every frame is silent.
        confidence: Its pooled probability.
        group: The most probable group of classes (``classify.groups``); None if every frame is silent.
        group_confidence: Its pooled probability.
        agreement: Share of the frames, silent ones left out, whose own label it is.
        probabilities: Pooled probability of each class, largest first.
        frames: Number of frames, silent ones included.
        silent_frames: Frames of zeros; they get no label and are not pooled.
        samples: Complex samples of the recording.
        sample_rate: Samples per second; None if unknown.
        frame_length: Samples of a frame.
        frame_step: Samples from frame to frame.
        normalization: How frames were scaled.
        scale: Factor the samples were multiplied with; None for none.
        last_frame: What became of the last samples.
        file: The recording.
        network: The network.
        engine: What computed it.
        temperature: Logits were divided by this; 1 for a network that nobody calibrated.
    """

    label: str | None
    confidence: float
    group: str | None
    group_confidence: float
    agreement: float
    probabilities: dict[str, float]
    frames: int
    silent_frames: int
    samples: int
    sample_rate: float | None
    frame_length: int
    frame_step: int
    normalization: Normalization
    scale: float | None
    last_frame: LastFrame
    file: str
    network: str
    engine: str
    temperature: float

    def to_dict(self) -> dict[str, Any]:
        """Return the object under ``summary`` of ``--json``."""
        return dict(vars(self))


@dataclass(frozen=True)
class PooledAnswer:
    """The answer of many frames.

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


class Pool:
    """Adds up frames' probabilities.

    Args:
        labels: Class names.
        calibration: How much several frames say together.
        overlap: Share of each frame's samples that the frame before it did not have; 1 where frames do not overlap.
    """

    def __init__(self, labels: Sequence[str], calibration: Calibration | None = None, overlap: float = 1.0) -> None:
        self.labels = tuple(labels)
        self.calibration, self.overlap = calibration or Calibration(), overlap
        self.frames = self.silent = 0
        self._sum = np.zeros(len(labels))
        self._votes = np.zeros(len(labels), np.int64)

    def add(self, probabilities: NDArray[np.float32], silent: NDArray[np.bool_]) -> None:
        """Add frames: probabilities float32 (n, classes), and which of them are silent."""
        heard = probabilities[~silent]
        self._sum += np.log(np.maximum(heard, _SMALLEST)).sum(axis=0, dtype=np.float64)
        self._votes += np.bincount(heard.argmax(axis=1), minlength=len(self.labels))
        self.frames += len(probabilities)
        self.silent += int(silent.sum())

    def answer(self) -> PooledAnswer:
        """Return the answer over the frames so far."""
        heard = self.frames - self.silent
        if not heard:
            return PooledAnswer(None, 0.0, None, 0.0, 0.0, dict.fromkeys(self.labels, 0.0))
        exponents = self._sum * (self.calibration.independent_frames(heard * self.overlap) / heard)
        pooled = np.exp(exponents - exponents.max())
        pooled /= pooled.sum()
        order = np.argsort(-self._sum, kind="stable")
        best = int(order[0])
        ranked = {self.labels[number]: float(pooled[number]) for number in order}
        group, group_confidence = next(iter(group_probabilities(ranked).items()))
        agreement = float(self._votes[best] / heard)
        return PooledAnswer(
            self.labels[best], float(pooled[best]), group, min(group_confidence, 1.0), agreement, ranked
        )


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
        best = self.probabilities.argmax(axis=1).tolist()
        return [None if quiet else self.names[k] for k, quiet in zip(best, self.silent.tolist(), strict=True)]


class Classification:
    """The classification of one recording, in memory bounded by a few batches of frames.

    Frames are cut on other threads while the engine works on those before.

    Args:
        engine: The network.
        recording: The recording.
        frame_step: Samples from one frame's start to the next; None for the frame length.
        normalization: How frames are scaled; see ``data.recordings.frames.Framing``.
        scale: Samples are multiplied by this first.
        calibration: What turns logits into probabilities; None for what the network's file says.
        threads: Threads that cut frames; None for one a core.

    Raises:
        RecordingError: If the recording does not fit the network.
        ConfigError: If a setting is out of range.
        ModelFileError: If the network's calibration is damaged.
    """

    def __init__(
        self,
        engine: Engine,
        recording: Recording,
        *,
        frame_step: int | None = None,
        normalization: Normalization = "auto",
        scale: float | None = None,
        calibration: Calibration | None = None,
        threads: int | None = None,
    ) -> None:
        self.engine, self.recording = engine, recording
        self.cutter = FrameCutter(recording, Framing(engine.frame_length, frame_step, normalization, scale))
        self.calibration = calibration or read_calibration(engine.target)
        self._threads = threads or cores()
        self._pool = self._new_pool()

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.cutter)

    def batches(self, size: int = BATCH, log: FrameLog | None = None) -> Iterator[LabelledFrames]:
        """Classify the frames in order, ``size`` at a time, from the first one on.

        Args:
            size: Frames of a batch.
            log: Frames it holds already are not computed again; those computed are kept in it.
        """
        self._pool = self._new_pool()
        done, classes, names = 0, len(self.engine.labels), tuple(self.engine.labels)
        while log is not None and done < len(self) and (kept := log.frames(classes)) is not None:
            yield self._answered(self.cutter.starts[done : done + len(kept[0])], *kept, names)
            done += len(kept[0])
        cuts = (partial(self.cutter.batch, first, first + size) for first in range(done, len(self), size))
        for frames, starts, silent in prefetch(cuts, self._threads):
            logits = self._logits(frames)
            if log is not None:
                log.keep_frames(logits, silent)
            yield self._answered(starts, logits, silent, names)

    def _logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = self.engine.logits(frames)
        if not np.isfinite(logits).all():
            raise ModelFileError(
                "the network gives values that are not finite",
                where=self.engine.target,
                action="check the network's weights: export or copy it again",
            )
        return logits

    def _answered(
        self, starts: NDArray[np.int64], logits: NDArray[np.float32], silent: NDArray[np.bool_], names: tuple[str, ...]
    ) -> LabelledFrames:
        probabilities = self.calibration.probabilities(logits)
        self._pool.add(probabilities, silent)
        return LabelledFrames(starts, probabilities, silent, names)

    def _new_pool(self) -> Pool:
        framing = self.cutter.framing
        step = framing.frame_step or framing.frame_length
        return Pool(self.engine.labels, self.calibration, min(1.0, step / framing.frame_length))

    def summary(self) -> RecordingSummary:
        """Return the pooled answer over the frames that ``batches`` has given so far; over all if none."""
        if not self._pool.frames:
            for _ in self.batches():
                pass
        framing = self.cutter.framing
        return RecordingSummary(
            **vars(self._pool.answer()),
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
            temperature=self.calibration.temperature,
        )


def classify_array(engine: Engine, array: NDArray[np.generic], **settings: object) -> RecordingSummary:
    """Classify complex samples (N,), or ready frames (n, 2, frame_length); ``settings`` as of ``Classification``."""
    return Classification(engine, recording_of(array), **settings).summary()  # type: ignore[arg-type]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    r"""Return `e^{z_k} / \sum_j e^{z_j}` along the last axis, float32."""
    return Calibration().probabilities(logits)
