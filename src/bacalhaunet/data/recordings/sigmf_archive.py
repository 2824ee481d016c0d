"""SigMF archives: a tar file that holds the metadata and the data of a recording, read without unpacking."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.sigmf_reader import META_BYTES_AT_MOST, build, parse_metadata
from bacalhaunet.errors import RecordingError


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
