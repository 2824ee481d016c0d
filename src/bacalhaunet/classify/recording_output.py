"""Labelled frames as JSON, JSON lines or CSV, written frame by frame in bounded memory.

Probabilities are written with six decimals, all of a batch at once as an array of characters: formatting number by
number would take ten times as long as the network.

The answers for a recording as SigMF annotations, in metadata that refer to the recording's own samples.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.groups import group_numbers
from bacalhaunet.classify.picture import Box
from bacalhaunet.classify.recording import LabelledFrames, RecordingSummary
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sigmf_writer import Annotation, validated
from bacalhaunet.data.recordings.stores import Interleaved
from bacalhaunet.errors import ConfigError

WriteBatch: TypeAlias = Callable[[LabelledFrames], None]

_POWERS = 10 ** np.arange(5, -1, -1)
_NUMBER = "0.000000"


def frame_lines(batch: LabelledFrames, sample_rate: float | None, signal: int | None = None) -> Iterator[str]:
    """Yield the JSON object of each frame, one line each.

    ``start`` is the frame's first sample, ``time`` the same in seconds (null without a sample rate), then ``label``,
    ``confidence``, ``group``, ``group_confidence`` and ``probabilities``. A silent frame has label null and
    confidence 0.

    Args:
        batch: The frames.
        sample_rate: Samples a second; None if unknown.
        signal: Number of the signal they belong to, which is then in the object.
    """
    rows = _numbers(batch.probabilities, [f"{json.dumps(name)}: " for name in batch.names], ", ")
    last = "" if signal is None else f', "signal": {signal}'
    for (start, time, label, confidence, group, sure), row in zip(_heads(batch, sample_rate), rows, strict=True):
        shown = f'"label": {_json(label)}, "confidence": {confidence}, "group": {_json(group)}'
        inner = row if label is not None else ""
        yield (
            f'{{"start": {start}, "time": {_json(time)}, {shown}, "group_confidence": {sure}, '
            f'"probabilities": {{{inner}}}{last}}}'
        )


class JsonDocument:
    """``{"frames": [...], ...}``, written frame by frame."""

    def __init__(self, file: IO[str], sample_rate: float | None) -> None:
        self.file, self.sample_rate, self._between = file, sample_rate, '{"frames": ['

    def write(self, batch: LabelledFrames, signal: int | None = None) -> None:
        """Append frames, of a signal of a capture if its number is given."""
        for line in frame_lines(batch, self.sample_rate, signal):
            self.file.write(self._between + line)
            self._between = ",\n"

    def finish(self, summary: RecordingSummary) -> None:
        """Append the summary and close the document."""
        self.finish_with(summary=summary.to_dict())

    def finish_with(self, **members: Any) -> None:
        """Append members after the frames and close the document."""
        if self._between != ",\n":
            self.file.write(self._between)
        rest = "".join(f",\n{json.dumps(name)}: {json.dumps(value)}" for name, value in members.items())
        self.file.write(f"]{rest}}}\n")


def label_writer(path: Path, file: IO[str], names: tuple[str, ...], sample_rate: float | None) -> WriteBatch:
    """Return what appends frames to a file of labels: ``.csv`` with a header line, or ``.jsonl``, one object a line.

    Raises:
        ConfigError: If the ending is another.
    """
    if path.suffix == ".csv":
        return _csv_writer(file, names, sample_rate)
    if path.suffix == ".jsonl":
        return lambda batch: file.writelines(line + "\n" for line in frame_lines(batch, sample_rate))
    raise ConfigError(
        f"labels are not written as {path.suffix or 'a file without an ending'}",
        where=str(path),
        allowed=".csv, .jsonl or .sigmf-meta",
    )


def _csv_writer(file: IO[str], names: tuple[str, ...], sample_rate: float | None) -> WriteBatch:
    columns = [_quoted(name) for name in names]
    file.write(",".join(["start", "time", "label", "confidence", "group", "group_confidence", *columns]) + "\r\n")
    nothing = "," * (len(names) - 1)

    def write(batch: LabelledFrames) -> None:
        rows = _numbers(batch.probabilities, [""] * len(names), ",")
        for (start, time, label, confidence, group, sure), row in zip(_heads(batch, sample_rate), rows, strict=True):
            named, grouped = _quoted(label or ""), _quoted(group or "")
            shown = f"{'' if time is None else time},{named},{confidence},{grouped},{sure}"
            file.write(f"{start},{shown},{row if label is not None else nothing}\r\n")

    return write


@lru_cache(maxsize=256)
def _quoted(text: str) -> str:
    """Return a name as a field of a CSV line."""
    return '"' + text.replace('"', '""') + '"' if re.search(r'[,"\r\n]', text) else text


_Head: TypeAlias = tuple[int, float | None, str | None, str, str | None, str]


def _heads(batch: LabelledFrames, sample_rate: float | None) -> Iterator[_Head]:
    """Yield start, time, label, confidence, group and its confidence of each frame; confidences as text."""
    groups, numbers = group_numbers(batch.names)
    sums = np.zeros((len(batch.starts), len(groups)), np.float32)
    for column, number in enumerate(numbers):
        sums[:, number] += batch.probabilities[:, column]
    best = [groups[number] for number in sums.argmax(axis=1).tolist()]
    confidences = _numbers(batch.probabilities.max(axis=1, keepdims=True), [""], "")
    sure = _numbers(np.minimum(sums.max(axis=1, keepdims=True), 1), [""], "")
    for row in zip(batch.starts.tolist(), batch.labels, confidences, best, sure, strict=True):
        start, label, confidence, group, group_confidence = row
        time = start / sample_rate if sample_rate else None
        if label is None:
            yield start, time, None, "0.0", None, "0.0"
        else:
            yield start, time, label, confidence, group, group_confidence


def _numbers(values: NDArray[np.float32], before: Sequence[str], between: str) -> list[str]:
    """Return a text for each row: its values from 0 to 1 with six decimals, each after the word of its column.

    Args:
        values: (n, columns).
        before: ASCII text before each column.
        between: ASCII text between columns.
    """
    template = between.join(word + _NUMBER for word in before)
    ends = np.cumsum([len(word + _NUMBER + between) for word in before]) - len(between)
    text = np.tile(np.frombuffer(template.encode("ascii"), np.uint8), (len(values), 1))
    millionths = np.rint(values.astype(np.float64) * 1e6).astype(np.int64)
    text[:, ends - len(_NUMBER)] += (millionths // 10**6).astype(np.uint8)
    text[:, ends[:, None] + np.arange(-6, 0)] += (millionths[:, :, None] // _POWERS % 10).astype(np.uint8)
    whole, width = text.tobytes().decode("ascii"), len(template)
    return [whole[place : place + width] for place in range(0, len(values) * width, width)]


def _json(value: str | float | None) -> str:
    return json.dumps(value)


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
