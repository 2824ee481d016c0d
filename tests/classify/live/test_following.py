"""Blocks on their way, answers pooled over time, signals followed from block to block."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs scipy")

from bacalhaunet.classify.answers import STREAM_MEMORY_S, Pool
from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.front_end.constellation import live_points
from bacalhaunet.classify.front_end.regions import Region
from bacalhaunet.classify.front_end.signals import Signal
from bacalhaunet.classify.live.queues import WAITING, Block, Mailbox
from bacalhaunet.classify.live.tracks import ESTIMATE_S, HISTORY_S, Tracks
from bacalhaunet.radio.class_set import ClassSet
from tests.classify.front_end.captures import linear_signal

LABELS = ("BPSK", "QPSK", "FM")
NO_POINTS = np.empty(0, np.complex64)


def block(number, urgent=False, places=(), late=1.0):
    return Block(number, np.zeros(1000, np.complex64), list(places), (late - 0.1, late), urgent=urgent)


def region(center, width=0.1, start=0, stop=1000):
    return Region(start, stop, center - width / 2, center + width / 2, 1.0, 64)


def stream_pool(calibration):
    return Pool(ClassSet(LABELS), calibration, memory_s=STREAM_MEMORY_S)


def frames(label, count=8, sure=0.9):
    row = np.full(len(LABELS), (1 - sure) / (len(LABELS) - 1), np.float32)
    row[LABELS.index(label)] = sure
    return np.tile(row, (count, 1))


def test_all_blocks_come_in_order_while_they_are_taken():
    mailbox = Mailbox()
    for number in range(WAITING):
        mailbox.put(block(number))
    assert [mailbox.get(0).start for _ in range(WAITING)] == list(range(WAITING))
    assert mailbox.get(0) is None


def test_too_many_blocks_leave_the_newest_and_the_urgent():
    mailbox = Mailbox()
    mailbox.put(block(0, urgent=True))
    for number in range(1, 10):
        mailbox.put(block(number))
    first, second = mailbox.get(0), mailbox.get(0)
    assert (first.start, first.late) == (0, True)
    assert second is None  # what waited behind is old by now
    for number in range(20, 30):
        mailbox.put(block(number))
    assert mailbox.get(0).start == 29


def test_a_mailbox_is_idle_when_the_last_block_is_done():
    mailbox = Mailbox()
    assert mailbox.idle
    mailbox.put(block(0))
    assert not mailbox.idle
    mailbox.get(0)
    assert not mailbox.idle
    mailbox.done()
    assert mailbox.idle


def test_a_block_wakes_who_waits():
    mailbox = Mailbox()
    threading.Timer(0.05, mailbox.put, [block(3)]).start()
    begun = time.monotonic()
    assert mailbox.get(20).start == 3
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("correlation", [0.0, 0.1, 1.0])
def test_frames_of_one_moment_are_pooled_as_those_of_a_recording(correlation):
    calibration = Calibration(1.0, correlation)
    some = np.random.default_rng(1).dirichlet(np.ones(3), 20).astype(np.float32)
    pool, reference = stream_pool(calibration), Pool(ClassSet(LABELS), calibration)
    pool.add(some, time=5.0)
    reference.add(some, np.zeros(20, bool))
    expected = reference.answer()
    answer = pool.answer()
    assert (answer.label, answer.group) == (expected.label, expected.group)
    assert answer.confidence == pytest.approx(expected.confidence)
    assert answer.group_confidence == pytest.approx(expected.group_confidence)


def test_old_frames_are_forgotten():
    pool = stream_pool(Calibration())
    pool.add(frames("BPSK", 100), time=0.0)
    pool.add(frames("BPSK", 1), time=10 * STREAM_MEMORY_S)
    assert pool.heard == pytest.approx(1, abs=0.01)


def test_a_changed_modulation_is_told_after_a_few_frames_and_a_slip_is_not():
    pool = stream_pool(Calibration())
    assert pool.answer().label is None
    for number in range(50):
        pool.add(frames("BPSK", 16), time=number / 40)
    pool.add(frames("QPSK", 30), time=50 / 40)  # one block alone
    pool.add(frames("BPSK", 16), time=51 / 40)
    assert pool.answer().label == "BPSK"
    pool.add(frames("QPSK", 16), time=52 / 40)
    pool.add(frames("QPSK", 16), time=53 / 40)
    assert pool.answer().label == "QPSK"


def test_a_signal_keeps_its_number_while_it_is_there():
    tracks = Tracks(ClassSet(LABELS))
    assert tracks.follow([region(0.1)], 0.9, 1.0)  # new
    tracks.improve([Signal(0, 1000, 0.1, 0.1, 0.07)], block(0, places=[region(0.1)]), 0, 1000)
    for late in (1.1, 1.2, 1.3):
        assert not tracks.follow(
            [region(0.101), region(-0.2)] if late == 1.3 else [region(0.099)], late - 0.1, late
        ) or (late == 1.3)
    assert [track.number for track in tracks.active] == [1, 2]
    tracks.follow([region(-0.2)], 4.9, 5.0)
    assert [track.number for track in tracks.active] == [2]


def test_ended_signals_with_a_label_are_remembered_for_a_minute():
    tracks = Tracks(ClassSet(LABELS))
    place, signal = region(0.1), Signal(0, 1000, 0.1, 0.1, 0.07)
    for center in (0.1, -0.3):
        tracks.follow([region(center)], 0.9, 1.0)
    tracks.improve([signal], block(0, places=[place]), 0, 1000)
    tracks.answer(tracks.active[0], frames("QPSK"), NO_POINTS, block(0, places=[place]), 1.1)
    tracks.follow([], 2.9, 3.0)
    assert [track.runs[-1].label for track in tracks.ended] == ["QPSK"]
    tracks.follow([], 2.9, 3.0 + HISTORY_S)
    assert tracks.ended == []


def test_known_signals_are_cut_out_as_they_were_found_last_and_looked_at_again_when_old():
    tracks = Tracks(ClassSet(LABELS))
    place = region(0.1)
    assert tracks.follow([place], 0.9, 1.0)
    assert tracks.due(block(0, places=[place])) == [place]
    tracks.improve([Signal(200, 900, 0.1, 0.09, 0.07)], block(0, places=[place]), 0, 1000)
    assert tracks.due(block(1, places=[place])) == []
    (known,) = tracks.sightings(block(1, places=[region(0.1, start=0, stop=600)]))
    cut = known.signal
    assert known.track is tracks.active[0]
    assert (cut.start, cut.stop, cut.center, cut.symbol_rate) == (0, 600, 0.1, 0.07)
    late = 1.0 + ESTIMATE_S[0] + 0.1
    tracks.follow([place], late - 0.1, late)
    assert tracks.due(block(2, places=[place], late=late)) == [place]


def test_one_estimate_that_strays_changes_nothing():
    tracks, place = Tracks(ClassSet(LABELS)), region(0.1)
    tracks.follow([place], 0.9, 1.0)
    for rate in (0.07, 0.07, None, 0.05, 0.0701):
        tracks.improve([Signal(0, 1000, 0.1, 0.1, rate)], block(0, places=[place]), 0, 1000)
        assert tracks.active[0].signal.symbol_rate == pytest.approx(0.07, rel=0.01)


def test_labels_over_time_are_kept_as_runs():
    tracks, place, signal = Tracks(ClassSet(LABELS)), region(0.1), Signal(0, 1000, 0.1, 0.1, 0.07)
    tracks.follow([place], 0.9, 1.0)
    tracks.improve([signal], block(0, places=[place]), 0, 1000)
    for number, label in enumerate(["BPSK"] * 4 + ["FM"] * 4):
        one = block(number, places=[place], late=1.0 + number)
        tracks.answer(tracks.active[0], frames(label, 32), NO_POINTS, one, 0.0)
    runs = tracks.active[0].runs
    assert [run.label for run in runs] == ["BPSK", "FM"]
    assert runs[0].stop == runs[1].start


@pytest.mark.parametrize(("name", "points"), [("BPSK", 2), ("QPSK", 4), ("8PSK", 8)])
def test_a_constellation_shows_its_points_whatever_the_phase(name, points):
    samples = linear_signal(name, 8192, 8.0, 0.35, np.random.default_rng(3)).astype(np.complex64)
    shown = [live_points(samples * np.complex64(np.exp(1j * turn)), 8.0, f"power {points}") for turn in (0.0, 0.3, 1.0)]
    for one in shown:
        assert np.sqrt(np.mean(np.abs(one) ** 2)) == pytest.approx(1)
        line = np.mean((one / np.abs(one)) ** points)
        # They lie at multiples of the angle between neighbours; QPSK's, as QAM's outer ones, on the diagonals.
        assert (-line if points == 4 else line).real > 0.7
    assert len(live_points(samples, None)) == 384
    assert live_points(np.zeros(100, np.complex64), None).max() == 0


def test_a_signal_in_the_band_of_one_that_ended_is_another():
    tracks = Tracks(ClassSet(LABELS))
    narrow, wide = region(0.1, 0.05, stop=600), region(0.12, 0.2, start=700)
    assert tracks.follow([wide, narrow], 0.9, 1.0, offset=0, length=1000)
    assert [track.number for track in tracks.active] == [1, 2]
    one = block(0, places=[narrow])
    tracks.improve([Signal(0, 600, 0.1, 0.05, 0.03)], one, 0, 600)
    assert [known.signal.center for known in tracks.sightings(one)] == [0.1]
    assert tracks.sightings(block(0, places=[wide])) == []  # the narrow one is not there any more
    tracks.follow([region(0.12, 0.2)], 1.0, 1.1, offset=1000, length=1000)
    assert [track.number for track in tracks.active if track.last == 1.1] == [2]


def test_bursts_in_one_band_are_one_signal_and_what_a_wide_region_covers_goes_on():
    tracks = Tracks(ClassSet(LABELS))
    tracks.follow([region(0.1, stop=300), region(0.1, start=600, stop=800)], 0.9, 1.0, length=1000)
    assert [track.number for track in tracks.active] == [1]
    tracks.follow([region(0.1)], 1.0, 1.1, offset=1000, length=1000)
    tracks.follow([region(0.15, 0.3)], 1.1, 1.2, offset=2000, length=1000)  # it and a neighbour in one region
    assert [track.number for track in tracks.active] == [1]
    assert tracks.active[0].last == 1.2


def test_estimates_and_answers_go_to_the_signal_of_their_time():
    tracks = Tracks(ClassSet(LABELS))
    first, second = region(0.1, 0.05, stop=400), region(0.1, 0.2, start=600)  # one centre, one after the other
    tracks.follow([first, second], 0.9, 1.0, length=1000)
    whole = block(0, places=[first, second])
    tracks.improve([Signal(0, 400, 0.1, 0.05, 0.03), Signal(600, 1000, 0.1, 0.2, 0.15)], whole, 0, 1000)
    assert [track.signal.symbol_rate for track in tracks.active] == [0.03, 0.15]
    for known, label in zip(tracks.sightings(whole), ("BPSK", "QPSK"), strict=True):
        tracks.answer(known.track, frames(label), NO_POINTS, whole, 1.0)
    assert [track.pool.answer().label for track in tracks.active] == ["BPSK", "QPSK"]


def test_a_signal_that_ended_says_when_until_it_comes_again():
    tracks = Tracks(ClassSet(LABELS))
    tracks.follow([region(0.1, stop=600), region(-0.2)], 1.0, 2.0, length=1000)
    ended, going = tracks.active
    assert (ended.ended, ended.until, ended.heard) == (600, pytest.approx(1.6), pytest.approx(1.6))
    assert (going.ended, going.until, going.heard) == (None, None, 2.0)
    tracks.follow([], 2.0, 2.1, offset=1000, length=1000)
    assert (going.ended, going.until) == (1000, 2.0)
    tracks.follow([region(0.1)], 2.1, 2.2, offset=2000, length=1000)
    assert (ended.ended, ended.until) == (None, None)


def test_a_signal_stays_as_long_as_a_block_that_shows_it_waits():
    tracks, mailbox, place = Tracks(ClassSet(LABELS)), Mailbox(), region(0.1, stop=600)
    tracks.follow([place], 0.9, 1.0, length=1000)
    mailbox.put(block(0, places=[place], late=1.0))
    shown = mailbox.get(0)
    tracks.follow([], 8.9, 9.0, offset=9000, length=1000, waiting=mailbox.oldest)
    assert tracks.due(shown) == [place]
    tracks.improve([Signal(0, 600, 0.1, 0.1, 0.07)], shown, 0, 1000)
    assert [known.track.number for known in tracks.sightings(shown)] == [1]
    mailbox.done()
    tracks.follow([], 9.0, 9.1, offset=10000, length=1000, waiting=mailbox.oldest)
    assert tracks.active == []


def test_a_look_counts_only_for_what_it_shows():
    tracks, near, far = Tracks(ClassSet(LABELS)), region(0.1, stop=300), region(0.15, 0.2, start=380)
    tracks.follow([near, far], 0.9, 1.0, length=1000)
    one = block(0, places=[near, far])
    tracks.improve([Signal(0, 300, 0.1, 0.1, 0.07), Signal(380, 400, 0.15, 0.2)], one, 0, 400)
    assert tracks.due(one) == [far]
    assert [track.signal is None for track in tracks.active] == [False, True]


def test_a_signal_that_only_begins_is_looked_at_again_in_the_next_block():
    tracks, begin = Tracks(ClassSet(LABELS)), region(0.1, start=900)
    tracks.follow([begin], 0.9, 1.0, length=1000)
    first, second = block(0, places=[begin]), block(1000, places=[region(0.1)], late=1.1)
    tracks.improve([Signal(400, 500, 0.1, 0.1)], first, 500, 1000)
    assert tracks.due(first) == []
    assert tracks.follow(second.regions, 1.0, 1.1, offset=1000, length=1000)  # it has no answer yet
    assert tracks.due(second) == second.regions
    tracks.improve([Signal(0, 500, 0.1, 0.1, 0.07)], second, 300, 800)
    assert tracks.due(block(2000, places=[region(0.1)], late=1.2)) == []


def test_signals_of_another_source_have_ended():
    tracks = Tracks(ClassSet(LABELS))
    tracks.follow([region(0.1)], 0.9, 1.0, length=1000)
    tracks.clear()
    assert [track.until for track in tracks.ended] == [1.0]
