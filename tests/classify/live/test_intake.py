"""Messages of any kind become a clean stream, and what was wrong is counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bacalhaunet.classify.live.queues import Counter, Intake, SampleRing
from tests.classify.live.streams import header, noise


@pytest.fixture
def intake():
    made = Intake(SampleRing.create(4096))
    yield made
    made.ring.close()


def message(intake, data):
    intake.message(np.frombuffer(data, np.uint8))


def counted(intake):
    wanted = (Counter.MALFORMED, Counter.REPLACED, Counter.LOST, Counter.RESTARTS)
    return {counter.name: intake.ring[counter] for counter in wanted if intake.ring[counter]}


def test_samples_arrive_as_they_were_sent(intake):
    samples = noise(300)
    message(intake, samples.tobytes())
    assert np.array_equal(intake.ring.copy(0, 300), samples)
    assert counted(intake) == {}


@pytest.mark.parametrize("size", [1, 7, 9, 8001, 0])
def test_a_message_of_no_whole_number_of_samples_is_counted_and_left_out(intake, size):
    message(intake, bytes(size))
    assert counted(intake) == {"MALFORMED": 1}
    assert intake.ring[Counter.WRITTEN] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e20, 3e38])
def test_samples_that_are_not_finite_become_zero(intake, bad):
    samples = noise(100)
    samples[7] = complex(0.5, bad)
    message(intake, samples.tobytes())
    samples[7] = 0
    assert np.array_equal(intake.ring.copy(0, 100), samples)
    assert counted(intake) == {"REPLACED": 1}


def test_a_message_larger_than_the_ring_leaves_its_end(intake):
    samples = noise(10_000)
    message(intake, samples.tobytes())
    assert intake.ring[Counter.WRITTEN] == 10_000
    assert np.array_equal(intake.ring.copy(8000, 2000), samples[8000:])


def test_numbered_messages_tell_what_was_lost(intake):
    message(intake, header(1000) + noise(100).tobytes())
    message(intake, header(1100) + noise(100).tobytes())
    assert counted(intake) == {}
    message(intake, header(1500) + noise(100).tobytes())
    assert counted(intake) == {"LOST": 300}
    assert intake.ring[Counter.SEGMENT] == 200
    assert intake.ring[Counter.WRITTEN] == 300


def test_numbers_that_go_back_are_a_source_that_came_anew(intake):
    message(intake, header(1000) + noise(100).tobytes())
    message(intake, header(0) + noise(100).tobytes())
    message(intake, header(100) + noise(100).tobytes())
    assert counted(intake) == {"RESTARTS": 1}
    assert intake.ring[Counter.SEGMENT] == 100


def test_messages_with_tags_in_them_are_left_out(intake):
    message(intake, header(0, tags=1) + bytes(40) + noise(100).tobytes())
    assert counted(intake) == {"MALFORMED": 1}


def test_a_connection_that_comes_again_is_a_source_that_came_anew(intake):
    intake.connected(True)
    message(intake, noise(100).tobytes())
    intake.connected(False)
    assert intake.ring[Counter.CONNECTED] == 0
    intake.connected(True)
    message(intake, header(7) + noise(100).tobytes())
    assert counted(intake) == {"RESTARTS": 1}
    assert intake.ring[Counter.SEGMENT] == 100


@given(st.lists(st.binary(max_size=200), max_size=12))
def test_any_bytes_are_either_samples_or_counted(messages):
    intake = Intake(SampleRing.create(1024))
    for data in messages:
        message(intake, data)
    written, malformed = intake.ring[Counter.WRITTEN], intake.ring[Counter.MALFORMED]
    whole = [len(data) for data in messages if len(data) % 8 == 0 and data]
    assert written >= sum(whole) // 8
    assert malformed <= len(messages) - len(whole)
    if written:
        samples = intake.ring.copy(0, written)
        assert np.isfinite(samples.view(np.float32)).all()
    intake.ring.close()
