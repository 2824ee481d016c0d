"""Frames per second of the twin, by class and in all, and against sample-by-sample noise over the whole block.

    python benchmarks/bench_twin.py [--seconds 0.7] [--device cpu|cuda] [--batch 1536] [--threads N]

Each figure is the fastest of the calls within the given time. Where TorchSig is installed, its narrowband generator
runs in the same process for comparison.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from bacalhaunet.radio.modulations import FRAME_LENGTH, NAMES
from bacalhaunet.radio.twin import Twin


def rate(make: Callable[[], object], frames: int, seconds: float) -> float:
    """Frames per second of the fastest call within ``seconds``: what the machine does when it is not disturbed."""
    make()
    end, best = time.perf_counter() + seconds, float("inf")
    while time.perf_counter() < end:
        start = time.perf_counter()
        make()
        best = min(best, time.perf_counter() - start)
    return frames / best


def naive(count: int) -> None:
    """The rival: torch's own generator for noise and symbols, an FFT filter, the whole block sample by sample."""
    symbols = torch.randint(0, 4, (count, 272))
    train = torch.zeros(count, 272 * 8, dtype=torch.complex64)
    train[:, ::8] = torch.polar(torch.ones(count, 272), symbols * (torch.pi / 2))
    spectrum = torch.fft.fft(train, 4096)
    block = torch.fft.ifft(spectrum * torch.ones(4096))[:, 64 : 64 + 2048]
    block = block * torch.polar(torch.ones(count, 2048), torch.rand(count, 1) + 2e-4 * torch.arange(2048))
    noisy = 10 * block + torch.randn(count, 2048, dtype=torch.complex64)
    frames = noisy[:, :1024] / noisy.std(1, keepdim=True)
    torch.stack((frames.real, frames.imag), 1)


def torchsig_rate(seconds: float) -> float | None:
    """Frames per second of TorchSig's narrowband generator, or None where it is not installed."""
    try:
        from torchsig.datasets.datasets import TorchSigIterableDataset
        from torchsig.utils.defaults import TorchSigDefaults
    except (ImportError, OSError):  # OSError: its torchaudio was built for another torch
        return None
    settings = dict(TorchSigDefaults().default_dataset_metadata)
    # One signal that fills a frame of RadioML's length; TorchSig's own default is a quarter of a million samples.
    settings |= {"num_iq_samples_dataset": FRAME_LENGTH, "num_signals_min": 1, "num_signals_max": 1, "fft_size": 64}
    settings |= {"signal_duration_in_samples_min": FRAME_LENGTH, "signal_duration_in_samples_max": FRAME_LENGTH}
    stream = iter(TorchSigIterableDataset(**settings))
    count = 200
    return rate(lambda: [next(stream) for _ in range(count)], count, seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1536)
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    twin, count = Twin(device=arguments.device), arguments.batch
    index, snrs = torch.arange(count), torch.full((count,), 10.0)

    def make(labels: torch.Tensor) -> Callable[[], object]:
        def once() -> None:
            twin.frames(labels, snrs, index, seed=0)
            if arguments.device != "cpu":
                torch.cuda.synchronize()

        return once

    print(f"twin on {arguments.device}, {torch.get_num_threads()} threads, batches of {count}")
    print(f"{'class':<12}{'frames/s':>12}")
    walls = []
    for label, name in enumerate(NAMES):
        wall = rate(make(torch.full((count,), label)), count, arguments.seconds)
        walls.append(wall)
        print(f"{name:<12}{wall:>12.0f}")
    mean = len(walls) / sum(1 / wall for wall in walls)
    wall = rate(make(index % 24), count, 2 * arguments.seconds)
    print(f"{'all, mixed':<12}{wall:>12.0f}")
    print(f"mean over classes {mean:.0f}, slowest {min(walls):.0f} frames/s (aims: 30000 and 10000 on 2 cores)")
    plain = rate(lambda: naive(256), 256, 2 * arguments.seconds)
    print(
        f"plain torch, QPSK, whole block: {plain:.0f} frames/s; the twin's QPSK is {walls[4] / plain:.1f} times as fast"
    )
    rival = torchsig_rate(arguments.seconds)
    if rival is None:
        print("TorchSig is not installed: no comparison")
    else:
        print(f"TorchSig narrowband: {rival:.0f} frames/s; the twin is {mean / rival:.0f} times as fast")


if __name__ == "__main__":
    main()
