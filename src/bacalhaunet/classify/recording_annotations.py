"""The answers for a recording as SigMF annotations, in metadata that refer to the recording's own samples."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacalhaunet.classify.picture import Box
from bacalhaunet.classify.recording import LabelledFrames
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sigmf_writer import Annotation, validated
from bacalhaunet.data.recordings.stores import Interleaved
from bacalhaunet.errors import ConfigError

_BOXES = 16
_SHORTEST_BOX = 0.04
"""Stretches that a picture has room for: how many, and the shortest in parts of the recording."""


@dataclass
class _Stretch:
    label: str | None
    start: int
    stop: int
    confidence: float
    frames: int


class Stretches:
    """Neighbouring frames with the same label, joined.

    Args:
        frame_length: Samples of a frame.
        count: Samples of the recording.
    """

    def __init__(self, frame_length: int, count: int) -> None:
        self.frame_length, self.count = frame_length, count
        self._stretches: list[_Stretch] = []

    def add(self, batch: LabelledFrames) -> None:
        """Append frames, in order."""
        confidences = batch.probabilities.max(axis=1).tolist()
        for start, label, confidence in zip(batch.starts.tolist(), batch.labels, confidences, strict=True):
            stop = min(start + self.frame_length, self.count)
            last = self._stretches[-1] if self._stretches else None
            if last is not None and last.label == label and start <= last.stop:
                last.stop, last.confidence, last.frames = stop, last.confidence + confidence, last.frames + 1
            else:
                self._stretches.append(_Stretch(label, start, stop, confidence, 1))

    def annotations(self, network: str) -> list[Annotation]:
        """Return an annotation for each stretch that is not silent."""
        return [
            Annotation(
                sample_start=one.start,
                sample_count=one.stop - one.start,
                label=one.label,
                comment=f"confidence {one.confidence / one.frames:.3f}, mean of {one.frames} frames; {network}",
            )
            for one in self._stretches
            if one.label is not None
        ]

    def boxes(self) -> list[Box]:
        """Return a box of the picture for each of the longest stretches, as wide as the band."""
        shortest = _SHORTEST_BOX * self.count
        heard = [one for one in self._stretches if one.label is not None and one.stop - one.start >= shortest]
        longest = sorted(heard, key=lambda one: one.start - one.stop)[:_BOXES]
        return [Box(one.start, one.stop, -0.48, 0.48, str(one.label)) for one in sorted(longest, key=_start)]


def _start(stretch: _Stretch) -> int:
    return stretch.start


def annotated_metadata(recording: Recording, annotations: list[Annotation], path: Path) -> str:
    """Return SigMF metadata for ``path`` that name the recording's samples and carry the annotations.

    Metadata of the recording itself are kept, with annotations of others; earlier ones of ours are replaced. A raw,
    WAV or one-dimensional .npy recording gets metadata that refer to it as a non-conforming data set.

    Raises:
        ConfigError: If ``path`` is not in the recording's folder, or SigMF cannot describe how its samples lie.
    """
    store = recording.store
    data = store.path if isinstance(store, Interleaved) else None
    if data is None or data.suffix == ".sigmf":
        raise ConfigError(
            "SigMF metadata cannot refer to samples stored this way",
            where=str(recording.path),
            allowed="SigMF, raw, WAV, or .npy of samples one after the other",
            action="write the labels as .csv or .jsonl; unpack an archive first",
        )
    if path.resolve().parent != data.resolve().parent:
        raise ConfigError(
            "metadata can only refer to samples in their own folder",
            where=str(path),
            allowed=f"a name ending in .sigmf-meta in {data.resolve().parent}",
        )
    document = copy.deepcopy(recording.metadata) or _fresh(recording, data)
    assert isinstance(store, Interleaved)
    document["global"]["core:datatype"] = store.kind.name  # --type may have replaced what was there
    if data != path.with_suffix(".sigmf-data"):
        document["global"]["core:dataset"] = data.name
    others = [one for one in document.get("annotations", []) if not _ours(one)]
    before = int(document["global"].get("core:offset", 0))  # samples in the files before this one
    own = [one.fields() for one in annotations]
    both = [*others, *({**one, "core:sample_start": one["core:sample_start"] + before} for one in own)]
    document["annotations"] = sorted(both, key=lambda one: int(one.get("core:sample_start", 0)))
    document.setdefault("captures", [{"core:sample_start": 0}])
    return validated(document, str(path))


def _ours(annotation: dict[str, Any]) -> bool:
    return str(annotation.get("core:generator", "")).startswith("bacalhaunet")


def _fresh(recording: Recording, data: Path) -> dict[str, Any]:
    store = recording.store
    assert isinstance(store, Interleaved)
    header = store.segments[0][1]
    trailing = data.stat().st_size - header - store.count * store.channels * store.kind.sample_bytes
    fields: dict[str, Any] = {"core:datatype": store.kind.name, "core:version": "1.2.0", "core:dataset": data.name}
    if recording.sample_rate:
        fields["core:sample_rate"] = recording.sample_rate
    if trailing:
        fields["core:trailing_bytes"] = trailing
    capture: dict[str, Any] = {"core:sample_start": 0}
    if header:
        capture["core:header_bytes"] = header
    return {"global": fields, "captures": [capture], "annotations": []}
