"""Work in a folder that is done once: whatever ends a process, the next call goes on where it stopped.

``claim_folder`` keeps a folder for one set of settings and one process at a time, and ``once`` does a piece of work and
keeps its result, so that the next call reads it. All commands that go on after an interruption are made of these two.
"""

from __future__ import annotations

import errno
import json
import os
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import yaml

from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import write_text

CONFIG_FILE, DONE_FILE, LOCK_FILE = "config.yaml", "done.json", ".lock"
"""In a claimed folder: the settings it was begun with, the result of a piece of work in its folder, and the lock."""

WHERE_IT_RUNS = ("threads", "accelerator", "checkpoint_every_steps")
"""Settings that do not change what comes out: a folder may be gone on with others."""


def once(path: Path, work: Callable[[], Any]) -> Any:
    """Return the JSON value in the file ``path``; where there is none, do ``work`` first and keep what it returns.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = once(Path(folder, "sum.json"), lambda: sum(range(5)))
    ...     first, once(Path(folder, "sum.json"), lambda: 1 / 0)
    (10, 10)

    Args:
        path: The file. It is there, whole, exactly when the work is done.
        work: Returns a JSON value. It may leave files beside ``path``, and finds there what an interrupted call left.

    Raises:
        ConfigError: If the file is damaged.
        ValueError: If the value holds NaN or infinity, which JSON has not.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(work(), indent=1, allow_nan=False))
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"the result kept here is damaged: {error}", where=str(path), action="delete the file to do the work again"
        ) from error


class Claim:
    """The right to write into a folder; ``with`` gives it back, and so does the end of the process, however it ends.

    The same process may claim a folder again, and so may the processes that torchrun starts for one run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: _Lock | None = None
        if not int(os.environ.get("RANK", 0)):  # torchrun's first process, which writes for all
            self._lock = _locked(folder / LOCK_FILE)

    def __enter__(self) -> Claim:
        """Return the claim."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder back."""
        self._lock = None


def claim_folder(folder: Path, settings: Mapping[str, Any], *, free: Collection[str] = WHERE_IT_RUNS) -> Claim:
    """Make a folder the work's own, or take it up again if it was begun with the same settings.

    Args:
        folder: Gets ``config.yaml`` and a lock file.
        settings: Every setting, as plain values.
        free: Settings that may differ from those the folder was begun with.

    Returns:
        The claim, which lasts until its ``with`` ends, or it is no longer referenced.

    Raises:
        ConfigError: If another process works in the folder, or it was begun with other settings.
    """
    path, text = folder / CONFIG_FILE, yaml.safe_dump(dict(settings), sort_keys=False)
    claim = Claim(folder)
    if path.is_file():
        before, now = yaml.safe_load(path.read_text(encoding="utf-8")), yaml.safe_load(text)
        changed = [line for name, line in _differences(before, now) if name not in free]
        if changed:
            raise ConfigError(
                f"the folder was begun with other settings: {'; '.join(changed[:3])}",
                where=str(path),
                allowed="the same settings, to go on where the work stopped",
                action="choose another --output, or delete the folder",
            )
    write_text(path, text)
    return claim


def _differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name and a sentence on every setting that is not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *(key for key in before if key not in now)]:
            yield from _differences(before.get(key), now.get(key), f"{name}.{key}" if name else str(key))
    elif before != now:
        yield name, f"{name or 'everything'} was {before!r} and is {now!r}"


@contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock on a file, which is made if absent and stays; it ends with the process, however that ends.

    Raises:
        BlockingIOError: If another process has it and ``wait`` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        lock(file, wait=wait)
        yield


def lock(file: IO[Any] | int, *, wait: bool = False) -> None:
    """Keep other processes from locking an open file until it is closed, where the system has file locks.

    Raises:
        BlockingIOError: If another process has locked it and ``wait`` is false.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # a disk of another machine, without locks
            raise


class _Lock:
    """A lock of this process on a folder, open as long as a claim refers to it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT)
        weakref.finalize(self, os.close, number)
        try:
            lock(number)
        except BlockingIOError as error:
            raise ConfigError(
                "another process is working in this folder",
                where=str(path.parent),
                action="wait for it or stop it, or choose another --output",
            ) from error


_LOCKS: weakref.WeakValueDictionary[Path, _Lock] = weakref.WeakValueDictionary()


def _locked(path: Path) -> _Lock:
    whole = path.resolve()
    held = _LOCKS.get(whole)
    if held is None:
        held = _LOCKS[whole] = _Lock(whole)
    return held
