"""The paper's road from end to end: data, training, three pruning steps, export, engines, a recording, a report."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.recording import Classification
from bacalhaunet.compression.config import REPORT_STEPS, PruneStep
from bacalhaunet.compression.iterative import prune
from bacalhaunet.data.generate import Generation, generate_file
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.data.recordings.recording import open_recording
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from bacalhaunet.deploy.export import export_network
from bacalhaunet.models.saved import load_model
from bacalhaunet.radio.modulations import by_name
from bacalhaunet.report.page import write_report
from bacalhaunet.report.run_record import CurveRecord, ParityRecord, RunRecord, StepRecord
from bacalhaunet.training.config import BitsConfig, DataConfig, OptimizerConfig, TrainConfig
from bacalhaunet.training.run import train
from bacalhaunet.training.run_data import training_data
from bacalhaunet_paper.budgets import Budget
from bacalhaunet_paper.frames import require_cells
from bacalhaunet_paper.measure import COST_FILE, EVALUATION_FILE, compare_engines, compare_qonnx, measure, sample_frames
from bacalhaunet_paper.stages import Facts, Stages

RECORDED = "8PSK"
"""Modulation of the recording that the road classifies."""

RECORDED_FRAMES, RECORDED_SNR_DB, RECORDED_RATE = 64, 20, 1e6


@dataclass(frozen=True)
class RoadConfig:
    """A run of the whole road.

    Attributes:
        budget: Frames and epochs.
        training: The initial training; 6 bits and lambda 1e-4, as in the report.
        steps: The pruning steps; the report's.
        data: A file in RadioML's layout; None makes a twin file.
    """

    budget: Budget
    training: TrainConfig
    steps: tuple[PruneStep, ...] = REPORT_STEPS
    data: Path | None = None

    def plain(self) -> Facts:
        """Return the configuration as plain values."""
        values = asdict(self)
        values["data"] = None if self.data is None else str(self.data)
        values["training"]["data"]["file"] = values["data"]
        values["steps"] = [asdict(step) for step in self.steps]
        return values


def road_config(budget: Budget, data: Path | None, seed: int = 1) -> RoadConfig:
    """Return the report's settings within a budget."""
    training = TrainConfig(
        network="bacalhaunet",
        bits=BitsConfig(weight=6, activation=6, input=8, sum=6),
        optimizer=OptimizerConfig(learning_rate=0.01, weight_decay=1e-4),
        data=DataConfig(snr_min_db=-6),
        epochs=budget.train_epochs,
        batch_size=budget.batch_size,
        seed=seed,
        checkpoint_every_steps=20,
    )
    return RoadConfig(budget, training, REPORT_STEPS, data)


class Road:
    """Runs the road in a folder; what was done before is not done again.

    Args:
        config: Budget and settings.
        folder: The run folder.
    """

    def __init__(self, config: RoadConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.stages = Stages(folder, config.plain())
        self.data_file = config.data or folder / "twin.hdf5"
        self.measured: list[tuple[StepRecord, Facts]] = []

    def run(self) -> Path:
        """Do every stage that is not done and return the path of the report."""
        if self.config.data is None:
            self.stages.run("data", "making a twin file", self._make_data)
        else:
            require_cells(self.config.data, [by_name(RECORDED).label], [RECORDED_SNR_DB])
        self._train()
        self._prune()
        final = self.folder / "stages" / "prune" / f"step-{len(self.config.steps)}" / "model.safetensors"
        exported = self.stages.run("export", "exporting QONNX and QCDQ", lambda folder: self._export(final, folder))
        parity = self.stages.run("engines", "comparing engines with torch", lambda _: self._engines(final, exported))
        heard = self.stages.run(
            "recording", "writing and classifying a recording", lambda folder: self._recording(exported, folder)
        )
        self._record(exported, parity, heard)
        report = write_report(self.folder)
        self.stages.say(f"report: {report}")
        return report

    def _make_data(self, _folder: Path) -> Facts:
        per_cell = self.config.budget.file_frames_per_cell
        generate_file(self.data_file, Generation(per_cell, self.config.training.seed))
        return {"file": self.data_file.name}

    @property
    def _training(self) -> TrainConfig:
        config = self.config.training
        return replace(config, data=replace(config.data, file=self.data_file))

    def _train(self) -> None:
        def work(folder: Path) -> Facts:
            trained = train(self._training, folder, title="6-bit training")
            curve = [asdict(point) for point in trained.result.curve]
            facts = {"frames_seen": trained.result.frames_seen, "seconds": trained.result.seconds, "curve": curve}
            return facts | {"measured": measure(trained.model, self.data_file, folder)}

        facts = self.stages.run("train", "training BacalhauNet at 6 bits", work)
        self._note("train", "initial training, 6 bits", "train", PruneStep(1e-4, 0.0), facts)

    def _prune(self) -> None:
        def work(folder: Path) -> Facts:
            start = self.folder / "stages" / "train" / "model.safetensors"
            config = replace(self._training, network=str(start), bits=None, epochs=self.config.budget.prune_epochs)
            steps = []
            for run in prune(config, self.config.steps, folder, data=training_data(config)):
                measured = measure(run.model, self.data_file, run.model.parent)
                result = run.result
                steps.append({"frames_seen": result.frames_seen, "seconds": result.seconds, "measured": measured})
            return {"steps": steps}

        facts = self.stages.run("prune", "pruning in three steps", work)
        for number, (step, found) in enumerate(zip(self.config.steps, facts["steps"], strict=True), 1):
            self._note(f"prune/step-{number}", f"pruning step {number}", "prune", step, found)

    def _note(self, place: str, title: str, kind: str, step: PruneStep, facts: Facts) -> None:
        measured = facts["measured"]
        low, high = measured["interval"]
        self.stages.say(
            f"{title}: {100 * measured['accuracy']:.2f} % [{100 * low:.2f}, {100 * high:.2f}] of "
            f"{measured['frames']:,} test frames, score {measured['score']:.4f}"
        )
        record = StepRecord(
            slug=place.replace("/", "-"),
            title=title,
            kind=kind,
            frames_seen=facts["frames_seen"],
            seconds=facts["seconds"],
            weight_decay=step.weight_decay,
            min_abs_weight=step.min_abs_weight if kind == "prune" else None,
            evaluation=f"stages/{place}/{EVALUATION_FILE}",
            cost=f"stages/{place}/{COST_FILE}",
            model=f"stages/{place}/model.safetensors",
        )
        self.measured.append((record, facts))

    def _export(self, model: Path, folder: Path) -> Facts:
        saved = load_model(model)
        files = {}
        for format_ in ("qonnx", "qcdq"):
            path = folder / f"bacalhaunet.{format_}.onnx"
            export_network(saved.network, path, format_, spec=saved.spec, labels=saved.labels, dynamic_batch=True)
            files[format_] = str(path.relative_to(self.folder))
        return {"files": files}

    def _engines(self, model: Path, exported: Facts) -> Facts:
        exports = {name: self.folder / path for name, path in exported["files"].items()}
        frames = sample_frames(self.data_file, self.config.budget.parity_frames)
        found = list(compare_engines(model, exports, frames))
        few = frames[:: max(1, len(frames) // self.config.budget.slow_parity_frames)]
        found.append(compare_qonnx(model, exports["qonnx"], few))
        for entry in found:
            self.stages.say(f"torch and {entry['engines'][1]}: {100 * entry['agreement']:.2f} % of {entry['frames']}")
        return {"parity": found}

    def _recording(self, exported: Facts, folder: Path) -> Facts:
        samples = recorded_samples(self.data_file)
        path = write_sigmf(folder / "recording", samples, RECORDED_RATE, description=f"{RECORDED}, frames in a row")
        engine = open_engine(self.folder / exported["files"]["qcdq"])
        summary = Classification(engine, open_recording(path)).summary().to_dict()
        self.stages.say(f"the recording of {RECORDED} is named {summary['label']}")
        return {"summary": summary}

    def _record(self, exported: Facts, parity: Facts, heard: Facts) -> None:
        command = ["bacalhaunet", "reproduce", "--budget", self.config.budget.name]
        if self.config.data is not None:
            command += ["--data", str(self.config.data)]
        if self.config.training.seed != 1:
            command += ["--seed", str(self.config.training.seed)]
        train_facts = self.measured[0][1]
        RunRecord(
            name=f"reproduce-{self.config.budget.name}",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=shlex.join(command),
            profile="file" if self.config.data else "twin",
            data=_describe(self.data_file),
            protocol=self._protocol(),
            steps=tuple(record for record, _ in self.measured),
            parity=tuple(ParityRecord(**{**p, "engines": tuple(p["engines"])}) for p in parity["parity"]),
            classification=heard["summary"],
            curve=tuple(CurveRecord(p["frames"], p["validation_accuracy"]) for p in train_facts["curve"]),
        ).write(self.folder)

    def _protocol(self) -> dict[str, Any]:
        with RadioMLFile(self.data_file) as file:
            per_cell = file.frames_per_cell
        return {
            "split": "RandomState(2018); test: first 10 % of each cell; validation: last 5 % of each train list",
            "frames_per_cell": per_cell,
            "train_snr_min_db": self.config.training.data.snr_min_db,
            "seed": self.config.training.seed,
            "selection": "the epoch with the best validation accuracy; the test part is read once per step",
        }


def recorded_samples(data: Path) -> np.ndarray:
    """Return test frames of one modulation at one SNR in a row, complex64: the road's recording."""
    with RadioMLFile(data) as file:
        label = by_name(RECORDED).label
        everything = np.arange(len(file))
        cell = file.layout.select(everything, labels=[label], snr_min_db=RECORDED_SNR_DB, snr_max_db=RECORDED_SNR_DB)
        frames = file.read(cell[:RECORDED_FRAMES]).frames
    return (frames[:, 0] + 1j * frames[:, 1]).astype(np.complex64).reshape(-1)


def _describe(data: Path) -> str:
    with RadioMLFile(data) as file:
        return f"{data.name}: {len(file):,} frames, {file.frames_per_cell} of each modulation at each SNR"
