"""Streams to listen to, and sinks that send them as GNU Radio's do."""

import contextlib
import struct
import threading
import time

import numpy as np

from tests.classify.front_end.captures import linear_signal

SIGNALS = (("BPSK", -0.25, 8.0), ("QPSK", 0.2, 6.0))
"""Label, centre in cycles a sample, and samples a symbol of what ``stream`` holds."""


def noise(count, seed=1, level=0.05):
    generator = np.random.default_rng(seed)
    return (generator.standard_normal((count, 2)) @ [level, 1j * level]).astype(np.complex64)


def stream(count=1 << 18, signals=SIGNALS, seed=1):
    """Signals side by side in noise: complex64 (count,)."""
    generator, samples = np.random.default_rng(seed), noise(count, seed)
    for name, center, period in signals:
        turn = np.exp(2j * np.pi * center * np.arange(count))
        samples += (0.4 * linear_signal(name, count, period, 0.35, generator) * turn).astype(np.complex64)
    return samples


def placed(count, signals, seed=1, level=0.02):
    """Signals in noise, each ``(label, first sample, sample after its last, centre, samples a symbol)``."""
    generator, samples = np.random.default_rng(seed), noise(count, seed, level)
    for name, start, stop, center, period in signals:
        turn = np.exp(2j * np.pi * center * np.arange(stop - start))
        signal = 0.2 * linear_signal(name, stop - start, period, 0.35, generator) * turn
        samples[start:stop] += signal.astype(np.complex64)
    return samples


class NoiseEngine:
    """Says whether frames hold a signal of 8 samples a symbol or white noise, by neighbours' correlation."""

    name, target, labels, frame_length = "fake", "noise", ("signal", "noise"), 1024

    def __init__(self, seconds=0.0):
        self._seconds = seconds

    def logits(self, frames):
        time.sleep(self._seconds)
        values = frames[:, 0] + 1j * frames[:, 1]
        power = np.maximum(np.mean(np.abs(values) ** 2, axis=1), 1e-20)
        noisy = np.abs(np.mean(values[:, 1:] * values[:, :-1].conj(), axis=1)) < 0.85 * power
        return np.stack([np.where(noisy, 0, 9), np.where(noisy, 9, 0)], 1).astype(np.float32)


def header(offset, tags=0):
    """What GNU Radio's sinks put before the samples with Pass Tags on."""
    return struct.pack("<HBQQ", 0x5FF0, 1, offset, tags)


class Sink:
    """A ZMQ sink that sends samples again and again; a context manager."""

    def __init__(self, samples, rate, *, port=0, push=False, numbered=False, size=4096, wait=True):
        import zmq

        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH if push else zmq.XPUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        self.port = int(self._socket.get(zmq.LAST_ENDPOINT).rpartition(b":")[2])
        self._push, self._numbered, self._size, self._rate, self._wait = push, numbered, size, rate, wait
        self._bytes = samples.astype("<c8").tobytes()
        self._stop = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._socket.close()
        self._context.term()

    def _send(self):
        if not self._push and self._wait:  # until somebody listens
            while not self._socket.poll(50):
                if self._stop.is_set():
                    return
            self._socket.recv()
        begun, step = time.monotonic(), 8 * self._size
        while not self._stop.is_set():
            place = 8 * self.sent % (len(self._bytes) - step + 1) // 8 * 8
            values = self._bytes[place : place + step]
            with contextlib.suppress(Exception):
                self._socket.send(header(self.sent) + values if self._numbered else values, 1)
                self.sent += self._size
            self._stop.wait(max(0.0, begun + self.sent / self._rate - time.monotonic()))
