"""Work done ahead of its turn on other threads, handed over in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def prefetch(tasks: Iterable[Callable[[], Result]], threads: int = 1, *, ahead: int | None = None) -> Iterator[Result]:
    """Yield the results of tasks in their order, while threads work on the next ones.

    At most ``ahead`` + 1 results wait, so memory stays bounded. When the iterator is closed or a task fails, tasks
    that have not begun are dropped, and those that have are waited for.

    >>> list(prefetch((lambda number=number: number**2) for number in range(4)))
    [0, 1, 4, 9]

    Args:
        tasks: Functions that may run at the same time. They are taken one by one, in the thread that asks for results.
        threads: 1 or more.
        ahead: Tasks begun before their turn, 1 or more; None for as many as threads.
    """
    depth = threads if ahead is None else ahead
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
