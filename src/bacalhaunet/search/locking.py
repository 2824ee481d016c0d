"""One worker at a time: a lock over a study that ends with the process holding it, however that ends."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy


@contextmanager
def study_lock(url: str, name: str) -> Iterator[None]:
    """Hold the lock of a study; wait for it as long as another worker has it.

    For SQLite it is a lock of the operating system on a file beside the database, for PostgreSQL an advisory lock of
    a connection of its own. Both are released by the system when the process is killed.

    Args:
        url: The storage.
        name: The study.
    """
    parsed = sqlalchemy.engine.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with file_lock(Path(f"{parsed.database}.lock")):
            yield
        return
    key = int.from_bytes(hashlib.sha256(f"bacalhaunet {name}".encode()).digest()[:8], "big", signed=True)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), {"key": key})


@contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock on a file, which is made if absent and stays.

    Raises:
        BlockingIOError: If another process has it and ``wait`` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
