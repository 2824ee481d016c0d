"""The queue between the receiver and the search."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from bacalhaunet.classify.live.queues import Counter, SampleRing
from tests.classify.live.streams import noise


@pytest.fixture
def ring():
    made = SampleRing.create(1000)
    yield made
    made.close()


def append(ring, samples):
    ring.append(samples.view(np.uint8))


def test_what_is_written_is_read_across_the_end(ring):
    samples = noise(900)
    for part in np.split(samples, 9):
        append(ring, part)
    append(ring, samples[:200])
    assert ring[Counter.WRITTEN] == 1100
    assert np.array_equal(ring.copy(700, 400), np.concatenate([samples[700:], samples[:200]]))


def test_the_oldest_samples_go_and_a_reader_is_told(ring):
    for _ in range(20):
        append(ring, noise(100))
    assert ring[Counter.WRITTEN] == 2000
    assert ring.copy(900, 100) is None
    assert ring.copy(1950, 100) is None  # not there yet
    assert ring.copy(1000, 1000) is not None
    assert ring.oldest == 1000 + 1000 // 8


def test_a_reader_does_not_get_what_is_just_being_overwritten(ring):
    for _ in range(10):
        append(ring, noise(100))
    ring[Counter.CLAIMED] = 1100  # the writer is at work on the first hundred
    assert ring.copy(50, 100) is None
    assert ring.copy(100, 100) is not None


def test_times_of_arrival_follow_positions(ring):
    before = time.monotonic()
    append(ring, noise(100))
    between = time.monotonic()
    time.sleep(0.002)
    append(ring, noise(100))
    assert before <= ring.arrival(100) <= between
    assert between < ring.arrival(200) <= time.monotonic()
    assert ring.arrival(150) == ring.arrival(200)


def test_another_process_writes_to_it():
    ring = SampleRing.create(1000)
    program = (
        "import sys, numpy as np; from bacalhaunet.classify.live.queues import SampleRing;"
        "SampleRing(int(sys.argv[1])).append(np.arange(10, dtype=np.complex64).view(np.uint8))"
    )
    subprocess.run([sys.executable, "-c", program, str(ring.descriptor)], pass_fds=(ring.descriptor,), check=True)
    assert np.array_equal(ring.copy(0, 10), np.arange(10))
    ring.close()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(ring.descriptor)
