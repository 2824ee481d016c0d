"""Results come in order, few of them wait, and errors come through."""

import threading
import time
from functools import partial

import pytest

from bacalhaunet.prefetch import prefetch


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(threads):
    def task(number):
        time.sleep(0.002 * (number % 3))
        return number

    assert list(prefetch((partial(task, number) for number in range(20)), threads)) == list(range(20))


@pytest.mark.parametrize("threads", [1, 3])
def test_few_results_wait_for_a_slow_taker(threads):
    begun = []
    results = prefetch((partial(begun.append, number) for number in range(50)), threads)
    for taken in range(1, 20):
        next(results)
        assert len(begun) <= taken + threads


def test_as_many_tasks_are_begun_as_asked_for():
    begun = []
    results = prefetch((partial(begun.append, number) for number in range(50)), 1, ahead=5)
    next(results)
    time.sleep(0.05)
    assert len(begun) == 6


def test_an_error_reaches_the_taker_in_its_turn():
    results = prefetch([lambda: 1, lambda: 1 / 0, lambda: 3], 2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_leaves_no_thread():
    before = threading.active_count()
    results = prefetch((partial(int, 1) for _ in range(100)), 2)
    next(results)
    results.close()
    assert threading.active_count() == before
