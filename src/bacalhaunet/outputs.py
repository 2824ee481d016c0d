"""Output files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bacalhaunet.errors import ConfigError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it to ``path`` when the block ends without an error.

    On an error the temporary file is deleted and a file that was at ``path`` stays as it was.

    Args:
        path: The final file. Its folder is made if absent.

    Yields:
        The temporary path to write to, in the same folder and with the same suffix.

    Raises:
        ConfigError: If ``path`` is a folder or its folder cannot be made.
    """
    target = Path(path)
    if target.is_dir():
        raise ConfigError("the output is a folder", where=str(target), allowed="a file name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the output folder cannot be made: {error}", where=str(target.parent)) from error
    # The process number keeps two writers of the same file apart; the suffix stays, since some writers look at it.
    partial = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
