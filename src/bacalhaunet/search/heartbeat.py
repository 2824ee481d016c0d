"""Signs of life: while a trial runs, its row in the database is stamped every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError


@contextmanager
def heartbeat(storage: Any, trial_id: int, every_seconds: float) -> Iterator[None]:
    """Stamp a trial from a thread until the block ends.

    Optuna has such a thread of its own, but only within ``Study.optimize``.

    Args:
        storage: Optuna's RDBStorage.
        trial_id: The trial's key in it.
        every_seconds: Time between two stamps.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(storage, trial_id, every_seconds, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(storage: Any, trial_id: int, every_seconds: float, ended: threading.Event) -> None:
    while not ended.wait(every_seconds):
        try:
            storage.record_heartbeat(trial_id)
        except (StorageInternalError, SQLAlchemyError):
            continue  # the database may be back before the others miss us
    storage.remove_session()
