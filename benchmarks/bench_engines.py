"""Do the engines agree, and how fast are they: torch, QCDQ and QONNX in onnxruntime, qonnx's executor.

    python benchmarks/bench_engines.py [--frames 2000] [--qonnx-frames 2000] [--network bacalhaunet] [--bits 6]

Agreement is in the class named, on twin frames of all classes and SNRs; every frame that differs is followed to the
first quantizer at which the two part, and counts as explained only if the values there lie on a rounding boundary.
Speeds are medians of interleaved runs; ratios are against onnxruntime on one core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import torch

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.cost.of import quantize
from bacalhaunet.deploy.export import export_network
from bacalhaunet.deploy.parity import first_difference, onnx_quantizers, qonnx_outputs, torch_quantizers
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.radio.modulations import SNRS_DB
from bacalhaunet.radio.twin import Twin


def twin_frames(count, seed=1):
    """Frames of all classes and SNRs in turn."""
    index = torch.arange(count)
    snr = torch.tensor(SNRS_DB)[(index // 24) % len(SNRS_DB)]
    return Twin().frames(index % 24, snr, index // (24 * len(SNRS_DB)), seed=seed)


def warmed_network(name, bits, frames):
    """A network whose quantizers and normalization have seen frames; its weights are those it was drawn with."""
    torch.manual_seed(0)
    network = build_network(quantize(find_spec(name), bits))
    network.train()
    with torch.no_grad():
        for part in frames[:512].split(64):
            network(part)
    return network.eval()


def report_agreement(name, logits, reference, explain):
    other = np.flatnonzero(logits.argmax(1) != reference.argmax(1))
    moved = np.flatnonzero(np.abs(logits - reference).max(1) > 1e-4)
    ties = sum(explain(k) for k in moved)
    print(
        f"{name:24} {len(logits):6} frames  same class {len(logits) - len(other):6}"
        f"  moved by more than 1e-4 {len(moved):3}, of which ties {ties:3}"
    )


def median_ratio(engines, frames, rounds):
    """Seconds per frame of each engine, in turn in every round."""
    times = {name: [] for name in engines}
    for _ in range(rounds + 1):
        for name, run in engines.items():
            start = time.perf_counter()
            run(frames)
            times[name].append((time.perf_counter() - start) / len(frames))
    return {name: float(np.median(values[1:])) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--qonnx-frames", type=int, default=100)
    parser.add_argument("--network", default="bacalhaunet")
    parser.add_argument("--bits", type=int, default=6)
    arguments = parser.parse_args()
    frames = twin_frames(arguments.frames)
    network = warmed_network(arguments.network, arguments.bits, frames)
    with tempfile.TemporaryDirectory() as folder:
        files = {form: Path(folder) / f"{form}.onnx" for form in ("qonnx", "qcdq")}
        for form, path in files.items():
            export_network(network, path, form, dynamic_batch=True)
        models = {form: onnx.load(path) for form, path in files.items()}
        compare(network, files, models, frames.numpy(), arguments.qonnx_frames)
        speeds(network, files, frames.numpy()[:512])


def compare(network, files, models, frames, qonnx_frames):
    with torch.inference_mode():
        reference = torch.cat([network(part) for part in torch.from_numpy(frames).split(64)]).numpy()

    def explain_with(form, **options):
        return lambda k: (
            first_difference(
                torch_quantizers(network, frames[k : k + 1]),
                onnx_quantizers(models[form], frames[k : k + 1], **options),
            ).is_tie
        )

    print("agreement with torch")
    for form, path in files.items():
        report_agreement(f"onnxruntime, {form}", open_engine(path).logits(frames), reference, explain_with(form))
    logits = qonnx_outputs(models["qonnx"], frames[:qonnx_frames], ())[0]
    explain = explain_with("qonnx", outputs=qonnx_outputs)
    report_agreement("qonnx's executor", logits, reference[:qonnx_frames], explain)


def speeds(network, files, frames):
    torch.set_num_threads(1)

    def run_torch(frames):
        with torch.inference_mode():
            for part in torch.from_numpy(frames).split(64):
                network(part)

    engines = {
        "onnxruntime, 1 core": open_engine(files["qcdq"], threads=1).logits,
        "onnxruntime, all cores": open_engine(files["qcdq"]).logits,
        "onnxruntime, QONNX": open_engine(files["qonnx"], threads=1).logits,
        "torch, 1 core": run_torch,
    }
    seconds = median_ratio(engines, frames, rounds=5)
    base = seconds["onnxruntime, 1 core"]
    print("speed")
    for name, value in seconds.items():
        print(f"{name:24} {1e6 * value:8.1f} us/frame  {base / value:6.2f} times onnxruntime on one core")


if __name__ == "__main__":
    main()
