"""Measurements of a step: accuracy on the test part, cost, agreement and speed of engines; what they say in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.benchmark import benchmark, one_core
from bacalhaunet.classify.engines import ENGINES, Engine, open_engine
from bacalhaunet.classify.evaluation import evaluate, predict
from bacalhaunet.cost.of import cost_of
from bacalhaunet.data.dataset import Indices
from bacalhaunet.data.datasets import RadioML
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.deploy.parity import check_parity, qonnx_outputs
from bacalhaunet.errors import UnsupportedOperationError
from bacalhaunet.models.onnx_files import read_onnx
from bacalhaunet.models.saved import load_model
from bacalhaunet.outputs import write_text
from bacalhaunet.report.published import winner
from bacalhaunet.report.run import load_run

SHOWN_SNRS_DB = (-4, 4, 30)
"""SNR labels whose confusions the report shows; those the baseline's were published at."""

_LOGITS_COMPARED = 256
"""Frames whose logits are compared, not the class alone."""

EVALUATION_FILE, COST_FILE = "evaluation.json", "cost.json"


def measure(model: Path, data: Path, folder: Path) -> dict[str, Any]:
    """Evaluate a network on the test part of a file, once, and score it; write both as JSON into ``folder``.

    Returns:
        ``accuracy``, ``interval``, ``frames`` and ``score``.
    """
    test = RadioML(data).test
    result = evaluate(open_engine(model), test.batches(), test.classes.names)
    cost = cost_of(model)
    shown = {str(snr): result.confusion_at(snr).tolist() for snr in SHOWN_SNRS_DB if snr in result.snrs_db}
    write_text(folder / EVALUATION_FILE, json.dumps({**result.to_dict(), "confusion_by_snr": shown}))
    write_text(folder / COST_FILE, json.dumps(cost.to_dict()))
    return {
        "accuracy": result.accuracy,
        "interval": list(result.interval),
        "frames": result.frames,
        "score": cost.score,
    }


def sample_frames(data: Path, count: int) -> NDArray[np.float32]:
    """Return frames of the validation part, spread over all modulations and SNRs, float32 (count, 2, 1024).

    If the part has fewer, training frames, spread alike, fill up.
    """
    with RadioMLFile(data) as file:
        split = radioml_split(file.layout)
        first = _spread(split.validation, count)
        numbers = np.concatenate([first, _spread(split.train, count - len(first))])
        return file.read(np.sort(numbers)).frames


def _spread(numbers: Indices, count: int) -> Indices:
    """Return ``count`` of the numbers, or all if there are fewer, as far from each other as can be."""
    places = np.linspace(0, len(numbers) - 1, min(count, len(numbers)))
    return numbers[places.round().astype(np.int64)]


def compare_engines(model: Path, exports: dict[str, Path], frames: NDArray[np.float32]) -> Iterator[dict[str, Any]]:
    """Compare every engine that runs the network with torch, by the class each names.

    Args:
        model: The saved model.
        exports: The network's ONNX files by format.
        frames: float32 (n, 2, 1024).

    Yields:
        ``engines``, ``frames``, ``agreement`` and ``explanation`` of each comparison.

    Raises:
        ParityError: If an export differs from torch for another reason than a rounding tie.
    """
    expected = predict(open_engine(model, "torch"), frames)
    network = load_model(model).network
    few = frames[_spread(np.arange(len(frames)), _LOGITS_COMPARED)]
    for format_, path in exports.items():
        found = predict(open_engine(path, "onnxruntime"), frames)
        parity = check_parity(network, read_onnx(path), few, str(path))
        ties = f"; {len(parity.ties)} of {parity.frames} frames differ by a rounding tie" if parity.ties else ""
        yield _record(f"onnxruntime on {format_.upper()}", expected, found, f"logits compared too{ties}")
    for name in sorted(set(ENGINES) - {"torch", "onnxruntime"}):
        engine = _try_engine(exports["qonnx"], name)
        if engine is not None:
            yield _record(name, expected, predict(engine, frames), "integer arithmetic")


def compare_qonnx(model: Path, export: Path, frames: NDArray[np.float32]) -> dict[str, Any]:
    """Compare qonnx's own node-by-node execution, which is slow, with torch."""
    expected = predict(open_engine(model, "torch"), frames)
    found = qonnx_outputs(read_onnx(export), frames, ())[0].argmax(axis=1)
    return _record("qonnx's executor", expected, np.asarray(found, np.int64), "node by node")


def _record(name: str, expected: NDArray[np.int64], found: NDArray[np.int64], explanation: str) -> dict[str, Any]:
    agreement = float((expected == found).mean())
    return {"engines": ["torch", name], "frames": len(found), "agreement": agreement, "explanation": explanation}


def _try_engine(path: Path, name: str, threads: int | None = None) -> Engine | None:
    try:
        return open_engine(path, name, threads=threads)
    except UnsupportedOperationError:
        return None


def speeds(path: Path, seconds: float) -> list[dict[str, Any]]:
    """Time the native engine and onnxruntime by turns on one core; an engine that does not open is left out.

    Returns:
        Rows as ``bench --json`` has them, onnxruntime last.
    """
    with one_core():
        opened = [_try_engine(path, name, threads=1) for name in ("native", "onnxruntime")]
        return [asdict(speed) for speed in benchmark([engine for engine in opened if engine], seconds=seconds)]


def measured_in_words(measured: Mapping[str, Any]) -> str:
    """Return what ``measure`` found in one line."""
    low, high = measured["interval"]
    accuracy = f"{100 * measured['accuracy']:.2f} % [{100 * low:.2f}, {100 * high:.2f}]"
    return f"{accuracy} of {measured['frames']:,} test frames, score {measured['score']:.4f}"


def closing_words(folder: Path, recorded: str) -> Iterator[str]:
    """Yield what a run of the main job reached, beside the winner of 2021, and what to try next, line by line.

    Args:
        folder: The run folder.
        recorded: Modulation of the recording that was named.
    """
    run = load_run(folder)
    record, last, best = run.record, run.steps[-1], winner()
    assert last.evaluation is not None
    assert last.cost is not None
    low, high = last.evaluation.interval
    where = "frames of the twin of RadioML 2018.01A" if record.profile == "twin" else f"frames of {record.data}"
    yield ""
    yield f"reached: {100 * last.evaluation.accuracy:.2f} % (95 %: {100 * low:.2f} to {100 * high:.2f})"
    yield f"  of {last.evaluation.frames:,} test {where}, at a score of {last.cost.score:.6f}"
    yield f"winner of 2021: {100 * best.accuracy:.2f} % on the real data, at {best.score:.6f}"
    if record.profile == "twin":
        yield "  scores compare exactly; accuracies as far as the twin can be trusted"
    by_name = {row["engine"]: row["frames_per_second"] for row in record.speed}
    if "native" in by_name and "onnxruntime" in by_name:
        times = by_name["native"] / by_name["onnxruntime"]
        yield f"on one core of this machine: {by_name['native']:,.0f} frames a second, {times:.0f} times onnxruntime's"
    yield f"the recording of {recorded} was named {record.classification['label']}"
    yield f"report: {folder / 'report.html'}"
    yield f"network: {folder / (last.record.model or '')}"
    yield "next: bacalhaunet scan RECORDING                   name the signals of a recording of your own"
    yield "      bacalhaunet train --data FOLDER -o runs/own  train on recordings of your own classes"
