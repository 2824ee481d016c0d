"""Speed of the front end beside the network it feeds, and how well it finds signals, on synthetic captures.

    python benchmarks/bench_front_end.py [captures]

Prints Msamples/s of looking for signals and of bringing one to 8 samples a symbol, the frames a second that makes, and
the figures of blind detection (default: 30 captures of 262144 samples with five signals each).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.classify.front_end.captures import capture, matched

from bacalhaunet.classify.front_end.regions import spectrogram
from bacalhaunet.classify.front_end.signals import channel_of, find_signals
from bacalhaunet.data.recordings.recording import recording_of


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def speed():
    samples, _ = capture(np.random.default_rng(1), length=1 << 22, frames=(20, 80), signals=8)
    recording, size = recording_of(samples), len(samples) / 1e6
    fft = seconds(lambda: np.fft.fft(samples.reshape(-1, 256)))
    looked = seconds(lambda: spectrogram(recording, 0, len(samples)))
    found = find_signals(recording)
    whole = seconds(lambda: find_signals(recording))
    print(f"spectrogram {size / looked:.1f} Msamples/s, {fft / looked:.2f} of numpy's FFT of the samples alone")
    print(f"find_signals {size / whole:.1f} Msamples/s, {len(found)} signals")
    for signal in found[:3]:
        channel = channel_of(recording, signal)
        spent = seconds(lambda channel=channel: channel.read(0, channel.count))
        taken = (signal.stop - signal.start) / 1e6
        rate = f"{taken / spent:.1f} Msamples/s, {channel.count / 1024 / spent:.0f} frames/s"
        print(f"channel at {float(1 / (signal.symbol_rate or 1)):.1f} samples a symbol: {rate}")


def detection(captures):
    there = said = 0
    pairs = []
    for number in range(captures):
        samples, truths = capture(np.random.default_rng([2, number]))
        found = find_signals(recording_of(samples))
        there, said = there + len(truths), said + len(found)
        pairs += matched(found, truths)
    center = [abs(one.center - true.center) / true.bandwidth for one, true in pairs]
    rate = [abs((one.symbol_rate or 0) / true.symbol_rate - 1) for one, true in pairs]
    print(f"{there} signals: {100 * len(pairs) / there:.1f} % found, {said - len(pairs)} false")
    print(f"centre within 2 % of the bandwidth: {100 * np.mean(np.less(center, 0.02)):.1f} %")
    print(f"symbol rate within 1 %: {100 * np.mean(np.less(rate, 0.01)):.1f} %")


if __name__ == "__main__":
    speed()
    detection(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
