"""Writer of SigMF recordings with annotations."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet import __version__
from bacalhaunet.errors import RecordingError
from bacalhaunet.outputs import whole_file, write_text

GENERATOR = f"bacalhaunet {__version__}"

_VALIDATED = 500


@dataclass(frozen=True)
class Annotation:
    """A labelled stretch of a recording, with the names of SigMF's fields.

    Attributes:
        sample_start: Its first sample.
        sample_count: Its length in samples.
        label: What it is; at most 20 characters are shown by viewers.
        comment: Free text, for example the confidence.
        freq_lower_edge: Lower edge in Hz; None if unknown.
        freq_upper_edge: Upper edge in Hz; None if unknown.
    """

    sample_start: int
    sample_count: int
    label: str
    comment: str | None = None
    freq_lower_edge: float | None = None
    freq_upper_edge: float | None = None

    def fields(self) -> dict[str, Any]:
        """Return the annotation as SigMF's JSON object, ``generator`` included."""
        values = {
            "sample_start": self.sample_start,
            "sample_count": self.sample_count,
            "freq_lower_edge": self.freq_lower_edge,
            "freq_upper_edge": self.freq_upper_edge,
            "label": self.label,
            "generator": GENERATOR,
            "comment": self.comment,
        }
        return {f"core:{name}": value for name, value in values.items() if value is not None}


def write_sigmf(
    path: str | os.PathLike[str],
    samples: NDArray[np.complex64] | Iterable[NDArray[np.complex64]],
    sample_rate: float,
    *,
    frequency: float | None = None,
    annotations: Sequence[Annotation] = (),
    description: str = "",
) -> Path:
    """Write a recording as cf32_le: data first, then metadata, each whole or not at all.

    Args:
        path: Any name; ``.sigmf-meta`` and ``.sigmf-data`` replace its SigMF ending, or are added.
        samples: complex64 (N,), or blocks of it.
        sample_rate: Samples per second.
        frequency: Centre frequency in Hz.
        annotations: Labelled stretches.
        description: Free text.

    Returns:
        The path of the metadata.

    Raises:
        RecordingError: If there are no samples or they are not complex64, or SigMF's own validator finds fault.
    """
    path = Path(path)
    ours = path.suffix in (".sigmf-meta", ".sigmf-data", ".sigmf")
    meta = path.with_suffix(".sigmf-meta") if ours else path.with_name(path.name + ".sigmf-meta")
    digest, count = hashlib.sha512(), 0
    with whole_file(meta.with_suffix(".sigmf-data")) as partial:
        with partial.open("wb") as file:
            for block in [samples] if isinstance(samples, np.ndarray) else samples:
                if block.dtype != np.complex64 or block.ndim != 1:
                    raise RecordingError(
                        f"samples are {block.dtype} {block.shape}", where=str(meta), allowed="complex64 (N,)"
                    )
                stored = np.ascontiguousarray(block).astype("<c8", copy=False)
                file.write(stored.data)
                digest.update(stored.data)
                count += len(block)
        if not count:
            raise RecordingError("there are no samples to write", where=str(meta), allowed="one sample or more")
        text = _metadata(digest.hexdigest(), sample_rate, frequency, annotations, description, str(meta))
    write_text(meta, text)
    return meta


def _metadata(
    sha512: str,
    sample_rate: float,
    frequency: float | None,
    annotations: Sequence[Annotation],
    description: str,
    where: str,
) -> str:
    fields = {
        "core:datatype": "cf32_le",
        "core:sample_rate": sample_rate,
        "core:version": _version(),
        "core:sha512": sha512,
        "core:recorder": GENERATOR,
        "core:description": description,
    }
    capture = {"core:sample_start": 0} | ({} if frequency is None else {"core:frequency": frequency})
    notes = [annotation.fields() for annotation in sorted(annotations, key=lambda one: one.sample_start)]
    return validated({"global": fields, "captures": [capture], "annotations": notes}, where)


def _version() -> str:
    """Return the version of SigMF that the validator knows."""
    import sigmf

    return str(sigmf.__specification__)


def validated(document: dict[str, Any], where: str) -> str:
    """Return a SigMF document as JSON after SigMF's own validator has passed it.

    Of very many annotations the first and the last 500 are looked at: the validator takes minutes for a million, which
    are all written by the same lines of code.

    Raises:
        RecordingError: If it does not pass.
    """
    import sigmf

    notes = document.get("annotations", [])
    few = [*notes[:_VALIDATED], *notes[max(_VALIDATED, len(notes) - _VALIDATED) :]]
    try:
        sigmf.SigMFFile(metadata=copy.deepcopy(document | {"annotations": few})).validate()
    except Exception as error:  # jsonschema's errors, which this package need not name
        raise RecordingError(f"the metadata would not be valid SigMF: {str(error)[:300]}", where=where) from error
    return _text(document)


def _text(document: dict[str, Any]) -> str:
    """Return JSON with an annotation a line: Python's encoder takes ten times as long for an indented one."""
    encode = json.JSONEncoder().encode
    notes = ",\n".join("        " + encode(note) for note in document.get("annotations", []))
    parts = []
    for name, value in document.items():
        if name == "annotations":
            text = f"[\n{notes}\n    ]" if notes else "[]"
        else:
            text = json.dumps(value, indent=4).replace("\n", "\n    ")
        parts.append(f"    {encode(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
