"""SigMF recordings: a .sigmf-meta file of JSON beside a .sigmf-data file of samples, or a tar file with both.

The samples are left where they are and read slice by slice, those of an archive too. The package sigmf, which writes
and validates what this library writes, reads and hashes a whole file that names its SHA-512 when it opens it: 1.3 s for
200 MB, where this takes 0.04 s.
"""

from __future__ import annotations

import json
import math
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from bacalhaunet.data.recordings.formats import open_raw
from bacalhaunet.data.recordings.recording import Capture, Recording
from bacalhaunet.data.recordings.sample_types import SampleType, sample_type
from bacalhaunet.data.recordings.stores import Interleaved, whole_samples
from bacalhaunet.errors import RecordingError

META_BYTES_AT_MOST = 256 * 2**20


def open_sigmf(path: Path, type_: str | None, channel: int) -> Recording:
    """Open a SigMF recording by its metadata or its data file.

    A data file without metadata opens as raw samples when a type is given.

    Raises:
        RecordingError: If one of the two files is missing, the metadata cannot be used, or the data do not fit it.
    """
    meta = path.with_suffix(".sigmf-meta")
    if not meta.is_file():
        if type_ is not None:
            return open_raw(path, type_, channel)
        raise RecordingError(
            "the metadata of the recording is missing",
            where=str(path),
            allowed=f"{meta.name} beside it",
            action="add it, or pass the type of the samples, for example --type cf32",
        )
    metadata = parse_metadata(_read_text(meta), str(meta))
    data = _data_file(meta, metadata["global"])
    return build(path, data, (0, data.stat().st_size), metadata, type_, channel, str(meta))


def _read_text(meta: Path) -> bytes:
    if meta.stat().st_size > META_BYTES_AT_MOST:
        raise RecordingError(f"the metadata has {meta.stat().st_size} bytes", where=str(meta), allowed="256 MiB")
    return meta.read_bytes()


def parse_metadata(text: bytes, where: str) -> dict[str, Any]:
    """Return SigMF metadata with ``global`` (object) and ``captures`` (list of objects).

    Raises:
        RecordingError: If it is not JSON of that form.
    """
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordingError(
            f"the metadata is not JSON: {error}", where=where, allowed="a JSON object in UTF-8"
        ) from error
    captures = metadata.get("captures", []) if isinstance(metadata, dict) else None
    known = isinstance(captures, list) and all(isinstance(capture, dict) for capture in captures)
    if not known or not isinstance(metadata.get("global"), dict):
        raise RecordingError(
            "the metadata is not SigMF", where=where, allowed="an object with 'global' (an object), 'captures' (a list)"
        )
    return dict(metadata)


def _data_file(meta: Path, fields: dict[str, Any]) -> Path:
    named = fields.get("core:dataset")
    if fields.get("core:metadata_only"):
        raise RecordingError("the recording has metadata only", where=str(meta), action="get its data file")
    if named is not None and (not isinstance(named, str) or Path(named).name != named or named in ("", ".", "..")):
        raise RecordingError(
            f"core:dataset is {named!r}",
            where=str(meta),
            allowed="the plain name of a file in the same folder",
            action="move the data beside the metadata and name it without a folder",
        )
    data = meta.with_name(named) if named is not None else meta.with_suffix(".sigmf-data")
    if not data.is_file():
        raise RecordingError(
            "the data file of the recording is missing", where=str(meta), allowed=f"{data.name} beside it"
        )
    return data


def build(
    path: Path,
    data: Path,
    place: tuple[int, int],
    metadata: dict[str, Any],
    type_: str | None,
    channel: int,
    where: str,
) -> Recording:
    """Make the recording from metadata and where its data lie.

    Args:
        path: The file the user named.
        data: The file with the samples.
        place: Bytes before the samples and bytes of samples in it.
        metadata: From ``parse_metadata``.
        type_: Replaces the metadata's ``core:datatype``.
        channel: Which channel to read.
        where: Names the metadata in messages.

    Raises:
        RecordingError: If the metadata cannot be used or the data do not fit it.
    """
    fields, captures = metadata["global"], metadata.get("captures", [])
    datatype = type_ or fields.get("core:datatype")
    if not isinstance(datatype, str):
        raise RecordingError(f"core:datatype is {datatype!r}", where=where, allowed="a type such as cf32_le")
    kind = sample_type(datatype, where)
    channels = _whole(fields, "core:num_channels", where, 1)
    if not 0 <= channel < max(channels, 1) or channels < 1:
        raise RecordingError(f"channel {channel} of {channels}", where=where, allowed=f"0 to {channels - 1}")
    headers = [_whole(capture, "core:header_bytes", where, 0) for capture in captures]
    extra = sum(headers) + _whole(fields, "core:trailing_bytes", where, 0)
    count = whole_samples(data, place[1] - extra, kind.sample_bytes * channels, kind.name)
    before = _whole(fields, "core:offset", where, 0)  # samples of the recording in files before this one
    starts = [_whole(capture, "core:sample_start", where, before) - before for capture in captures]
    if starts != sorted(starts) or any(not 0 <= start < count for start in starts):
        raise RecordingError(
            f"captures start at samples {[start + before for start in starts[:8]]}, and the data hold {count}"
            + (f" from {before} on" if before else ""),
            where=where,
            allowed="ascending core:sample_start inside the data",
            action="the data are truncated, or the metadata belong to another recording",
        )
    segments = _segments(kind, channels, starts, headers, place[0])
    store = Interleaved(data, kind, count, segments, channels, channel)
    rate = _number(fields, "core:sample_rate", where)
    if rate is not None and not rate > 0:
        raise RecordingError(f"core:sample_rate is {rate}", where=where, allowed="above 0, in samples per second")
    read = [_capture(start, fields_, where) for start, fields_ in zip(starts, captures, strict=True)]
    return Recording(path, store, rate, tuple(read), metadata=metadata)


def _segments(
    kind: SampleType, channels: int, starts: list[int], headers: list[int], offset: int
) -> tuple[tuple[int, int], ...]:
    """Return (first sample, its byte) of each stretch between headers."""
    if not any(headers):
        return ((0, offset),)
    segments = [] if starts[0] == 0 else [(0, offset)]
    skipped = 0
    for start, header in zip(starts, headers, strict=True):
        skipped += header
        segments.append((start, offset + skipped + start * channels * kind.sample_bytes))
    # Where two captures start at the same sample the later header counts.
    return tuple(dict(segments).items())


def _capture(start: int, fields: dict[str, Any], where: str) -> Capture:
    datetime = fields.get("core:datetime")
    return Capture(start, _number(fields, "core:frequency", where), datetime if isinstance(datetime, str) else None)


def _number(fields: dict[str, Any], name: str, where: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300 or not math.isfinite(value):
        raise RecordingError(f"{name} is {str(value)[:100]!r}", where=where, allowed="a finite number")
    return float(value)


def _whole(fields: dict[str, Any], name: str, where: str, default: int) -> int:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        raise RecordingError(f"{name} is {str(value)[:100]!r}", where=where, allowed="a whole number, 0 or more")
    return value


def open_archive(path: Path, type_: str | None, channel: int) -> Recording:
    """Open the recording in a SigMF archive; its data are read in place, nothing is unpacked.

    Raises:
        RecordingError: If it is no plain tar file, is truncated, names files outside its folder, or does not hold
            exactly one recording.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            members = [_checked(member, path) for member in archive.getmembers() if not member.isdir()]
            meta, data = _pair(members, path)
            file = archive.extractfile(meta)
            if file is None or meta.size > META_BYTES_AT_MOST:
                raise RecordingError(f"the metadata {meta.name} cannot be read", where=str(path), allowed="256 MiB")
            text = file.read()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise RecordingError(
            f"not a readable SigMF archive: {error}",
            where=str(path),
            allowed="a tar file without compression",
            action="unpack it by hand if it is compressed, and pass the .sigmf-meta file",
        ) from error
    where = f"{path}, {meta.name}"
    return build(path, path, (data.offset_data, data.size), parse_metadata(text, where), type_, channel, where)


def _checked(member: tarfile.TarInfo, path: Path) -> tarfile.TarInfo:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not member.isreg() or member.issparse():
        raise RecordingError(
            f"the archive holds {member.name!r}, which is no plain file inside its folder",
            where=str(path),
            action="do not trust this archive",
        )
    if member.offset_data + member.size > path.stat().st_size:
        raise RecordingError(
            f"{member.name} claims {member.size} bytes and the archive has {path.stat().st_size}",
            where=str(path),
            action="the archive is truncated: copy it again",
        )
    return member


def _pair(members: list[tarfile.TarInfo], path: Path) -> tuple[tarfile.TarInfo, tarfile.TarInfo]:
    metas = [member for member in members if member.name.endswith(".sigmf-meta")]
    if len(metas) != 1:
        raise RecordingError(
            f"the archive holds {len(metas)} recordings",
            where=str(path),
            allowed="one",
            action="unpack it and pass one .sigmf-meta file",
        )
    wanted = metas[0].name.removesuffix("-meta") + "-data"
    datas = [member for member in members if member.name == wanted]
    if not datas:
        raise RecordingError(f"the archive has no {wanted}", where=str(path), action="get the complete archive")
    return metas[0], datas[0]
