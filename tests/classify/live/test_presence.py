"""When a signal is there: edges to a few symbols, nothing where it is absent, nothing said where it is too weak."""

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs scipy")

from bacalhaunet.classify.front_end.signals import Signal, channel_of
from bacalhaunet.classify.live.analysis import presence, stretch
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.data.recordings.stores import InMemory
from tests.classify.live.streams import placed

COUNT, LEVEL, PERIOD, CENTER = 1 << 16, 0.02, 8, 0.1
FLOOR = 2 * LEVEL**2
SIGNAL = Signal(0, COUNT, CENTER, 1.35 / PERIOD, 1 / PERIOD, 20.0, room=0.5)


def there(*signals, level=LEVEL, signal=SIGNAL):
    samples = placed(COUNT, [("QPSK", start, stop, center, PERIOD) for start, stop, center in signals], level=level)
    channel = channel_of(Recording("stream", InMemory(samples)), signal)
    found = presence(channel, channel.read(0, channel.count), signal, 2 * level**2)
    return found and (found.start / float(channel.ratio), found.stop / float(channel.ratio))


@pytest.mark.parametrize(("start", "stop"), [(0, COUNT), (0, 20_000), (30_000, 40_000), (50_000, COUNT)])
def test_edges_are_found_to_a_few_symbols(start, stop):
    assert there((start, stop, CENTER)) == pytest.approx((start, stop), abs=6 * PERIOD)


def test_a_signal_beside_it_is_not_it():
    start, stop = there((0, 20_000, CENTER), (0, COUNT, CENTER + 0.35))
    assert (start, stop) == pytest.approx((0, 20_000), abs=6 * PERIOD)


def test_nothing_is_there_in_noise_alone():
    start, stop = there()
    assert start == stop


def test_of_a_weak_signal_nothing_is_said():
    assert there((0, COUNT, CENTER), level=0.3, signal=Signal(0, COUNT, CENTER, 0.17, 0.125, 0.0, room=2.0)) is None


def test_a_short_click_bridges_no_long_silence():
    power = np.full(1000, 1.0)
    power[100:300], power[600:605] = 20.0, 2000.0
    assert stretch(power, 1.0, 20.0) == (100, 300)
    power[300:320] = 0.5  # a pause is part of it
    power[320:400] = 20.0
    assert stretch(power, 1.0, 20.0) == (100, 400)


def test_a_stream_without_noise_does_no_harm():
    power = np.zeros(1000)
    assert stretch(power, 0.0, 1.0)[0] == stretch(power, 0.0, 1.0)[1]
    power[200:500] = 1.0
    assert stretch(power, 0.0, 1.0) == (200, 500)
