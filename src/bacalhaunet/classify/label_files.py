"""What is written of a recording: its frames or signals as JSON, JSON lines or CSV, SigMF annotations, a picture.

Frames are written as they come, in bounded memory. Probabilities have six decimals, all of a batch at once as an array
of characters: formatting number by number would take ten times as long as the network. Annotations go into metadata
that refer to the recording's own samples.
"""

from __future__ import annotations

import copy
import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.answers import COLUMNS, Answer, NamedSignal, named_signal, signal_annotations, signal_boxes
from bacalhaunet.classify.front_end.signals import Signal
from bacalhaunet.classify.picture import check_picture, write_picture
from bacalhaunet.classify.pipeline import Classification, LabelledFrames
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sigmf_writer import Annotation, validated
from bacalhaunet.data.recordings.stores import Interleaved
from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import whole_file, write_text

WriteBatch: TypeAlias = Callable[[LabelledFrames], None]

_POWERS = 10 ** np.arange(5, -1, -1)
_NUMBER = "0.000000"


def frame_lines(batch: LabelledFrames, sample_rate: float | None) -> Iterator[str]:
    """Yield the JSON object of each frame, one line each.

    ``start`` is the frame's first sample, ``time`` the same in seconds (null without a sample rate), then ``label``,
    ``confidence``, ``group``, ``group_confidence``, ``probabilities``, and ``signal``, the number of the signal they
    belong to, if they belong to one of a capture. A silent frame has label null and confidence 0.
    """
    rows = _numbers(batch.probabilities, [f"{json.dumps(name)}: " for name in batch.classes.names], ", ")
    last = "" if batch.signal is None else f', "signal": {batch.signal}'
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

    def write(self, batch: LabelledFrames) -> None:
        """Append frames."""
        for line in frame_lines(batch, self.sample_rate):
            self.file.write(self._between + line)
            self._between = ",\n"

    def finish(self, work: Classification) -> None:
        """Append the signals, if they are those of a capture, and the summary, and close the document."""
        members: dict[str, Any] = {}
        if work.signals is not None:
            members["signals"] = [one.to_dict() for one in work.answers()]
        members["summary"] = work.summary().to_dict() if work.signals is None else work.capture_summary()
        if self._between != ",\n":
            self.file.write(self._between)
        rest = "".join(f",\n{json.dumps(name)}: {json.dumps(value)}" for name, value in members.items())
        self.file.write(f"]{rest}}}\n")


def check_outputs(recording: Recording, output: Path | None, picture: Path | None = None) -> None:
    """Say at once if an output cannot be.

    Raises:
        ConfigError: If its ending is unknown, or the recording cannot be described or drawn.
        MissingExtraError: If a picture is asked for and matplotlib is not installed.
    """
    if output is not None and output.suffix == ".sigmf-meta":
        annotated_metadata(recording, [], output)
    elif output is not None and output.suffix not in (".csv", ".jsonl"):
        raise ConfigError(
            f"labels are not written as {output.suffix or 'a file without an ending'}",
            where=str(output),
            allowed=".csv, .jsonl or .sigmf-meta",
        )
    if picture is not None:
        check_picture(picture, recording)


@contextmanager
def output_writer(
    work: Classification, output: Path | None, picture: Path | None = None, document: IO[str] | None = None
) -> Iterator[WriteBatch]:
    """Give what takes the labelled frames of a recording; the outputs are there, whole, when the block ends well.

    Args:
        work: The classification.
        output: ``.csv`` or ``.jsonl``: a line a frame of a recording that is taken as it is, else a line a signal;
            ``.sigmf-meta``: annotations of stretches of equal labels, or of the signals. None for none.
        picture: The spectrogram with labelled boxes, as .png, .svg or .pdf.
        document: Gets the JSON document of ``--json``.

    Raises:
        ConfigError, MissingExtraError: As of ``check_outputs``.
    """
    recording = work.recording
    check_outputs(recording, output, picture)
    takers: list[WriteBatch] = []
    stretches = Stretches(work.engine.frame_length, len(recording)) if work.signals is None else None
    text = None if document is None else JsonDocument(document, recording.sample_rate)
    with ExitStack() as files:
        if text is not None:
            takers.append(text.write)
        if stretches is not None and (picture or (output and output.suffix == ".sigmf-meta")):
            takers.append(stretches.add)
        if output is not None and output.suffix != ".sigmf-meta" and work.signals is None:
            takers.append(files.enter_context(_frame_file(output, work)))

        def take(batch: LabelledFrames) -> None:
            for taker in takers:
                taker(batch)

        yield take
        if text is not None:
            text.finish(work)
        if output is not None and output.suffix == ".sigmf-meta":
            signals = work.answers() if stretches is None else stretches.signals(recording)
            notes = signal_annotations(signals, recording, Path(work.engine.target).name)
            write_text(output, annotated_metadata(recording, notes, output))
        elif output is not None and work.signals is not None:
            write_signals(output, [one.to_dict() for one in work.answers()], work.engine.labels)
    if picture is not None:
        _write_picture(picture, work, stretches)


def _write_picture(path: Path, work: Classification, stretches: Stretches | None) -> None:
    recording = work.recording
    if stretches is not None:
        boxes = signal_boxes(stretches.longest(recording), recording, constellations=False)
        title = f"{recording.path.name}: {work.summary().label or 'silence'}"
    else:
        boxes = signal_boxes(work.answers(), recording)
        title = f"{recording.path.name}: {len(boxes)} signal{'' if len(boxes) == 1 else 's'}"
    write_picture(path, recording, boxes, title)


@contextmanager
def _frame_file(path: Path, work: Classification) -> Iterator[WriteBatch]:
    """Give what appends frames to a file: ``.csv`` with a header line, or ``.jsonl``, one object a line."""
    rate = work.recording.sample_rate
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            yield _csv_writer(file, tuple(work.engine.labels), rate)
        else:
            yield lambda batch: file.writelines(line + "\n" for line in frame_lines(batch, rate))


def write_signals(path: Path, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Write a line a signal, as ``.csv`` with a header line or ``.jsonl``, whole or not at all.

    Args:
        path: The file.
        rows: What there is to say of each signal: ``NamedSignal.to_dict``, perhaps with ``file``.
        names: Class names, which are columns of the CSV.
    """
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
            return
        columns = ["file", *COLUMNS] if any("file" in row for row in rows) else COLUMNS
        writer = csv.writer(file)
        writer.writerow([*columns, *names])
        for row in rows:
            shares = row["probabilities"]
            writer.writerow([*(row[name] for name in columns), *(shares.get(name, "") for name in names)])


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
    groups = batch.classes.groups
    sums = np.zeros((len(batch.starts), len(groups)), np.float32)
    for column, group in enumerate(batch.classes.group_of):
        sums[:, groups.index(group)] += batch.probabilities[:, column]
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

    def signals(self, recording: Recording) -> list[NamedSignal]:
        """Return each stretch that is not silent as a signal as wide as the band, its confidence the frames' mean."""
        return [_as_signal(one, recording) for one in self._stretches if one.label is not None]

    def longest(self, recording: Recording) -> list[NamedSignal]:
        """Return those of the signals that a picture has room for, in order."""
        shortest = _SHORTEST_BOX * self.count
        long = [one for one in self.signals(recording) if one.stop - one.start >= shortest]
        return sorted(sorted(long, key=lambda one: one.start - one.stop)[:_BOXES], key=lambda one: one.start)


def _as_signal(stretch: _Stretch, recording: Recording) -> NamedSignal:
    place = Signal(stretch.start, stretch.stop, 0.0, 1.0, center_from="hand")
    answer = Answer(stretch.label, stretch.confidence / stretch.frames, None, 0.0, 1.0, {})
    return named_signal(place, answer, stretch.frames, recording)


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
