"""Labelled frames as JSON, JSON lines or CSV, written frame by frame in bounded memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

from bacalhaunet.classify.recording import LabelledFrames
from bacalhaunet.classify.recording_summary import RecordingSummary
from bacalhaunet.errors import ConfigError

WriteBatch: TypeAlias = Callable[[LabelledFrames], None]


def frame_objects(batch: LabelledFrames, sample_rate: float | None) -> Iterator[dict[str, Any]]:
    """Yield the JSON object of each frame: ``start``, ``time``, ``label``, ``confidence``, ``probabilities``.

    ``start`` is the frame's first sample, ``time`` the same in seconds (None without a sample rate). A silent frame
    has label None and confidence 0.
    """
    rows = batch.probabilities.round(6).tolist()
    for start, label, row, silent in zip(batch.starts.tolist(), batch.labels, rows, batch.silent, strict=True):
        yield {
            "start": start,
            "time": start / sample_rate if sample_rate else None,
            "label": label,
            "confidence": 0.0 if silent else max(row),
            "probabilities": {} if silent else dict(zip(batch.names, row, strict=True)),
        }


class JsonDocument:
    """``{"frames": [...], "summary": {...}}``, written frame by frame."""

    def __init__(self, file: IO[str], sample_rate: float | None) -> None:
        self.file, self.sample_rate, self._between = file, sample_rate, '{"frames": ['

    def write(self, batch: LabelledFrames) -> None:
        """Append frames."""
        for frame in frame_objects(batch, self.sample_rate):
            self.file.write(self._between + json.dumps(frame))
            self._between = ",\n"

    def finish(self, summary: RecordingSummary) -> None:
        """Append the summary and close the document."""
        if self._between != ",\n":
            self.file.write(self._between)
        self.file.write('],\n"summary": ' + json.dumps(summary.to_dict()) + "}\n")


def label_writer(path: Path, file: IO[str], names: tuple[str, ...], sample_rate: float | None) -> WriteBatch:
    """Return what appends frames to a file of labels: ``.csv`` with a header line, or ``.jsonl``, one object a line.

    Raises:
        ConfigError: If the ending is another.
    """
    if path.suffix == ".csv":
        return _csv_writer(file, names, sample_rate)
    if path.suffix == ".jsonl":
        return lambda batch: file.writelines(json.dumps(one) + "\n" for one in frame_objects(batch, sample_rate))
    raise ConfigError(
        f"labels are not written as {path.suffix or 'a file without an ending'}",
        where=str(path),
        allowed=".csv, .jsonl or .sigmf-meta",
    )


def _csv_writer(file: IO[str], names: tuple[str, ...], sample_rate: float | None) -> WriteBatch:
    writer = csv.writer(file)
    writer.writerow(["start", "time", "label", "confidence", *names])

    def write(batch: LabelledFrames) -> None:
        for one in frame_objects(batch, sample_rate):
            values = [one["probabilities"].get(name, "") for name in names]
            writer.writerow([one["start"], one["time"], one["label"], one["confidence"], *values])

    return write
