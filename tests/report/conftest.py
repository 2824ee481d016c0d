"""A run folder with everything a run can leave behind, made of formulas; no network is trained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bacalhaunet.cost.report import CostReport, Finding, LayerCost
from bacalhaunet.data.evaluation import Evaluation
from bacalhaunet.radio.modulations import NAMES, SNRS_DB
from bacalhaunet.report.run_record import CurveRecord, ParityRecord, RunRecord, StepRecord

FRAMES_PER_CELL = 20


def synthetic_evaluation(seed: int, ceiling: float) -> Evaluation:
    """Return counts whose accuracy rises with SNR up to ``ceiling``."""
    generator = np.random.default_rng(seed)
    counts = np.zeros((len(SNRS_DB), 24, 24), np.int64)
    for index, snr in enumerate(SNRS_DB):
        right = 1 / 24 + (ceiling - 1 / 24) / (1 + np.exp(-(snr - 1) / 3))
        for label in range(24):
            near = np.exp(-np.abs(np.arange(24) - label) / 2.0)
            near[label] = 0
            shares = (1 - right) * near / near.sum()
            shares[label] = right
            counts[index, label] = generator.multinomial(FRAMES_PER_CELL, shares)
    return Evaluation(counts, SNRS_DB, NAMES)


def synthetic_cost(nonzero: float) -> CostReport:
    """Return the cost of a small network with a share ``nonzero`` of its weights."""
    layers = tuple(
        LayerCost(name, kind, macs, weights, int(weights * nonzero), bits, 6)
        for name, kind, macs, weights, bits in (
            ("blocks.0.depthwise", "depthwise", 27_648, 54, 8),
            ("blocks.0.pointwise", "pointwise", 24_576, 48, 6),
            ("blocks.1.depthwise", "depthwise", 258_048, 504, 6),
            ("blocks.1.pointwise", "pointwise", 294_912, 576, 32),
            ("blocks.2.pointwise", "pointwise", 589_824, 1152, 6),
            ("classifier", "dense", 1152, 1152, 6),
        )
    )
    finding = Finding((layers[3].name,), "blocks.1.pointwise reads a sum that no quantizer made: 32 bits", 1)
    return CostReport(layers, (), (finding,))


@dataclass(frozen=True)
class SyntheticRun:
    folder: Path
    record: RunRecord
    evaluations: tuple[Evaluation, ...]


def write_synthetic_run(folder: Path) -> SyntheticRun:
    titles = ["initial training, 6 bits", "1st prune", "2nd prune", "3rd prune"]
    epsilons = [None, 0.15, 0.25, 0.25]
    evaluations = tuple(synthetic_evaluation(seed, ceiling) for seed, ceiling in enumerate((0.93, 0.94, 0.9, 0.86)))
    steps = []
    for number, (title, epsilon) in enumerate(zip(titles, epsilons, strict=True)):
        slug = "train" if number == 0 else f"prune-{number}"
        (folder / slug).mkdir(parents=True)
        (folder / slug / "evaluation.json").write_text(json.dumps(evaluations[number].to_dict()))
        (folder / slug / "cost.json").write_text(json.dumps(synthetic_cost(1 / (1 + 1.5 * number)).to_dict()))
        step = StepRecord(slug, title, "prune" if number else "train", 40_960, 61.0 + number, 1e-4, epsilon)
        paths = {"evaluation": f"{slug}/evaluation.json", "cost": f"{slug}/cost.json", "model": f"{slug}/model.st"}
        steps.append(StepRecord(**{**step.__dict__, **paths}))
    record = RunRecord(
        name="synthetic",
        created="2026-11-23T20:00:00+00:00",
        command="bacalhaunet reproduce --budget quick",
        profile="twin",
        data="twin, 20 frames a cell, seed 2018",
        protocol={"split": "test", "frames_per_cell": 20, "train_snr_min_db": -6, "seed": 1, "selection": "validation"},
        steps=tuple(steps),
        parity=(ParityRecord(("torch", "onnxruntime"), 2000, 0.9995, "one frame whose top two logits tie"),),
        classification={
            "label": "QPSK",
            "confidence": 0.973,
            "agreement": 0.875,
            "probabilities": {"QPSK": 0.973, "OQPSK": 0.02, "8PSK": 0.007},
            "frames": 16,
        },
        curve=tuple(CurveRecord(1024 * n, 0.6 * (1 - 0.93 ** (n / 3))) for n in range(41)),
    )
    (folder / "config.yaml").write_text("network: bacalhaunet\nbits:\n  weight: 6\n")
    record.write(folder)
    return SyntheticRun(folder, record, evaluations)


@pytest.fixture(scope="session")
def untouched_run(tmp_path_factory):
    """Give a complete run folder that tests only read."""
    return write_synthetic_run(tmp_path_factory.mktemp("untouched") / "run")


@pytest.fixture
def synthetic_run(tmp_path):
    """Give a complete run folder that a test may change."""
    return write_synthetic_run(tmp_path / "run")
