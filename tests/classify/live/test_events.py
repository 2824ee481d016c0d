"""Counters become shares, a rate and lines for people, each said once."""

import pytest

from bacalhaunet.classify.live.status import SHARES_S, Events, Totals


def looks(*totals, rate=1000.0):
    events = Events(rate)
    statuses = [events.status(one, []) for one in totals]
    return statuses, events.take()


def test_rate_is_that_of_the_interval_and_shares_those_of_some_seconds():
    statuses, _ = looks(
        Totals(10.0),
        Totals(11.0, received=1000, searched=500, found=400, classified=100),
        Totals(12.0, received=2000, searched=2000, found=800, classified=700),
        Totals(12.0 + 2 * SHARES_S, received=2000, searched=2000, found=800, classified=700),
        Totals(13.0 + 2 * SHARES_S, received=3000, searched=3000, found=800, classified=700),
    )
    assert [status.rate for status in statuses] == [0, 1000, 1000, 0, 1000]
    assert (statuses[1].searched, statuses[1].coverage) == (0.5, 0.25)
    assert (statuses[2].searched, statuses[2].coverage) == (1.0, 0.875)
    assert (statuses[4].searched, statuses[4].coverage) == (1.0, None)
    assert [status.source for status in statuses] == ["waiting", "receiving", "receiving", "silent", "receiving"]


def test_latencies_are_the_median_and_the_longest():
    status = Events(1.0).status(Totals(1.0), [0.1, 0.5, 0.2])
    assert (status.latency_s, status.latency_max_s) == (0.2, 0.5)


def test_what_happens_is_said_once():
    _, lines = looks(
        Totals(1.0),
        Totals(2.0, received=1000),
        Totals(3.0, received=2000, dropped=5, malformed=1, replaced=1),
        Totals(4.0, received=3000, dropped=9, malformed=2, replaced=2, restarts=1),
        Totals(5.0, received=4000, dropped=9, malformed=2, replaced=2, restarts=1, lost=7),
        Totals(6.0, received=4000, dropped=9, malformed=2, replaced=2, restarts=1, lost=7, ended=True),
    )
    for word in ("samples come", "dropped", "whole number", "NaN", "came anew", "7 samples were lost", "has ended"):
        assert sum(word in line for line in lines) == 1


def test_a_wrong_rate_is_said_after_some_seconds_and_a_right_one_never():
    right = [Totals(float(second), received=1000 * second) for second in range(1, 16)]
    assert not any("--rate" in line for line in looks(*right)[1])
    assert sum("--rate" in line for line in looks(*right, rate=1500.0)[1]) == 1


@pytest.mark.parametrize("count", [3, 300])
def test_lines_are_bounded_and_not_repeated(count):
    events = Events(1.0)
    for number in range(count):
        events.add(f"line {number}")
        events.add(f"line {number}")
    lines = events.take()
    assert len(lines) == min(count, 100)
    assert events.take() == []
