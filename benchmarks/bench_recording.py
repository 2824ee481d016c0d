"""A large SigMF recording classified beside the native engine alone, and how fast the front end is.

    python benchmarks/bench_recording.py [NETWORK.onnx] [--gigabytes 0.5] [--folder FOLDER]

Makes a recording of that size (deleted afterwards), then by turns: frames a second of the engine on frames in memory,
and of 'classify -o labels.sigmf-meta' without the front end, which reads, cuts, scales, classifies, keeps its progress
and writes annotations. Prints their ratio and the resident memory of the process that classifies. The front end is
timed on a part of 256 MB: looking for signals, and 'scan' as a whole, in Msamples/s. The default network
is the 2021 one beside the checkout, or the first that comes with the package.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.front_end.signals import find_signals
from bacalhaunet.classify.pipeline import Classification
from bacalhaunet.cli.main import main as bacalhaunet
from bacalhaunet.data.recordings.recording import open_recording
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from bacalhaunet.models.shipped_networks import shipped_networks

SUBMITTED = Path(__file__).resolve().parents[2] / "shared/reference/networks/bacalhaunet_w6a6_pruned.onnx"
BLOCK = 1 << 22


def block(signals):
    """QPSK signals in noise, 4 Msamples: (samples a symbol, centre in cycles a sample, part of the time)."""
    generator = np.random.default_rng(2018)
    samples = (0.02 * generator.standard_normal((BLOCK, 2), np.float32)).view(np.complex64)[:, 0].copy()
    for number, (period, center, part) in enumerate(signals):
        count = int(BLOCK * part)
        frequency = np.abs(np.fft.fftfreq(20 * period, 1 / period))
        edge = np.clip((frequency - 0.3) / 0.4, 0, 1)
        taps = np.fft.fftshift(np.fft.ifft((0.5 + 0.5 * np.cos(np.pi * edge)) ** 1.5).real)
        train = np.zeros(count, complex)
        train[::period] = generator.choice([1, 1j, -1, -1j], len(train[::period]))
        spectrum = np.fft.fft(train) * np.fft.fft(taps, count)
        turn = np.exp(2j * np.pi * center * np.arange(count))
        place = (BLOCK - count) * (number + 1) // (len(signals) + 1)
        samples[place : place + count] += (np.fft.ifft(spectrum) * turn).astype(np.complex64)
    return samples


def engine_rate(network, seconds=3.0):
    engine = open_engine(network, "native")
    frames = np.random.default_rng(0).standard_normal((1024, 2, engine.frame_length)).astype(np.float32)
    engine.logits(frames)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        engine.logits(frames)
        count += len(frames)
    return count / (time.perf_counter() - start)


def classified(words):
    """Run the command in a process of its own: its result, seconds inside it, resident memory at most."""
    command = [sys.executable, __file__, "--child", json.dumps(words)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def child(words):
    start = time.perf_counter()
    assert bacalhaunet(words) == 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": time.perf_counter() - start, "megabytes": peak}))


def front_end(network, meta):
    recording = open_recording(meta)
    size = len(recording) / 1e6
    start = time.perf_counter()
    signals = find_signals(recording)
    looked = time.perf_counter() - start
    work = Classification(open_engine(network, "native"), recording, signals)
    start = time.perf_counter()
    frames = sum(answer.frames for answer in work.answers())
    brought = time.perf_counter() - start
    inside = sum(signal.stop - signal.start for signal in signals) / 1e6
    print(
        f"front end, {size:.0f} Msamples, {len(signals)} signals: {size / looked:.1f} Msamples/s looking for signals; "
        f"{inside / brought:.1f} Msamples/s of signals brought to {frames} frames and classified; "
        f"{size / (looked + brought):.1f} Msamples/s in all"
    )


def measure(network, folder, gigabytes):
    samples, four = block([(8, 0.0, 1.0)]), block([(8, -0.3, 0.6), (10, -0.1, 0.5), (16, 0.1, 0.4), (20, 0.3, 0.3)])
    blocks = max(1, round(gigabytes * 1e9 / samples.nbytes))
    meta = write_sigmf(folder / "large", (samples for _ in range(blocks)), 1e7)
    frames = blocks * BLOCK // 1024
    part = write_sigmf(folder / "part", (four for _ in range(max(1, min(8, blocks)))), 1e7)
    words = ["classify", str(meta), "--network", network, "--engine", "native", "-o", str(folder / "x.sigmf-meta")]
    rates, alone = [], []
    for _ in range(2):
        alone.append(engine_rate(network))
        result = classified(words)
        rates.append(frames / result["seconds"])
    alone.append(engine_rate(network))
    print(
        f"{meta.with_suffix('.sigmf-data').stat().st_size / 1e9:.2f} GB, {frames:,} frames, {os.cpu_count()} cores: "
        f"engine alone {max(alone):,.0f} frames/s, classify {max(rates):,.0f} frames/s from the command's "
        f"start to its end, ratio {max(rates) / max(alone):.2f}, {max(rates) * 1024 / 1e6:.0f} Msamples/s, "
        f"resident memory at most {result['megabytes']:.0f} MB"
    )
    with suppress(ModuleNotFoundError):
        front_end(network, part)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", nargs="?")
    parser.add_argument("--gigabytes", type=float, default=0.5)
    parser.add_argument("--folder")
    parser.add_argument("--child")
    arguments = parser.parse_args()
    if arguments.child:
        child(json.loads(arguments.child))
        return
    shipped = [str(one.onnx) for one in shipped_networks().values()]
    network = arguments.network or (str(SUBMITTED) if SUBMITTED.is_file() else next(iter(shipped), None))
    if network is None:
        print("needs the name of an ONNX file")
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure(network, Path(folder), arguments.gigabytes)


if __name__ == "__main__":
    main()
