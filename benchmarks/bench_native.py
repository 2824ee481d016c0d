"""The native engine against onnxruntime computing the same function, by turns on one core; then on two cores.

    python benchmarks/bench_native.py [NETWORK.onnx]

Without a file it times the 2021 network beside the checkout (../shared/reference/networks). Prints each set of kernels
this processor has: one frame, best batch, agreement, the ratio to onnxruntime, and how two cores compare with one.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from bacalhaunet.classify.benchmark import benchmark, one_core
from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.native_engine import NativeEngine
from bacalhaunet.deploy.native.model import available_kernels

_SHARED = Path(__file__).resolve().parents[2] / "shared"
SUBMITTED = _SHARED / "reference" / "networks" / "bacalhaunet_w6a6_pruned.onnx"


def rate(engine, frames, seconds=2.0):
    engine.logits(frames)
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        engine.logits(frames)
        times.append(time.perf_counter() - start)
    return len(frames) / min(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", nargs="?", default=str(SUBMITTED))
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    if not Path(arguments.network).is_file():
        print(f"needs {arguments.network}, or the name of an ONNX file")
        return
    with one_core():
        engines = [NativeEngine(arguments.network, threads=1, kernels=name) for name in available_kernels()]
        engines.append(open_engine(arguments.network, "onnxruntime", threads=1))
        speeds = benchmark(engines, seconds=arguments.seconds)
    reference = speeds[-1]
    for engine, speed in zip(engines, speeds, strict=True):
        name = f"{speed.engine} {getattr(engine, 'kernels', '')}".strip()
        print(
            f"{name:<18} 1 frame {speed.latency_us:8.2f} us (p99 {speed.latency_p99_us:8.2f})  "
            f"{speed.frames_per_second:10,.0f} frames/s  {speed.samples_per_second / 1e6:7.1f} Msamples/s  "
            f"agreement {speed.agreement:.4f}  "
            f"x{speed.frames_per_second / reference.frames_per_second:.1f} throughput, "
            f"x{reference.latency_us / speed.latency_us:.1f} latency"
        )
    if len(os.sched_getaffinity(0)) > 1:
        frames = np.random.default_rng(0).standard_normal((2048, 2, engines[0].frame_length)).astype(np.float32)
        one, two = (NativeEngine(arguments.network, threads=count) for count in (1, 2))
        print(f"two cores: x{rate(two, frames) / rate(one, frames):.2f} on batches of {len(frames)}")


if __name__ == "__main__":
    main()
