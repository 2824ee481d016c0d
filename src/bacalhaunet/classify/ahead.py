"""Work done ahead of its turn on other threads, handed over in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def ahead(tasks: Iterable[Callable[[], Result]], threads: int) -> Iterator[Result]:
    """Yield the results of tasks in their order, while ``threads`` threads work on the next ones.

    At most ``threads`` + 1 results wait, so memory stays bounded. When the iterator is closed or a task fails, tasks
    that have not begun are dropped, and those that have are waited for.

    Args:
        tasks: Functions that may run at the same time.
        threads: 1 or more.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
