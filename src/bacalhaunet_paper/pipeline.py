"""The main job: a float network made as small as the report's, from frames to a recording that is named.

Frames, 6 bits, three prunings by the report's lambda and epsilon, accuracy and score after each, export, every engine
beside torch, the native engine's speed, a recording, the report.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.pipeline import Classification
from bacalhaunet.compression.config import REPORT_STEPS, PruneStep
from bacalhaunet.compression.pruning import prune
from bacalhaunet.data.generate import Generation, generate_file
from bacalhaunet.data.layout import radioml_split
from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.data.recordings.recording import open_recording
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from bacalhaunet.deploy.export import export_network
from bacalhaunet.models.resolve import MODEL_FILE, resolve_network
from bacalhaunet.models.saved import load_model
from bacalhaunet.radio.modulations import by_name
from bacalhaunet.report.page import write_report
from bacalhaunet.report.run_record import CurveRecord, ParityRecord, RunRecord, StepRecord
from bacalhaunet.training.config import (
    BitsConfig,
    DataConfig,
    DistillationConfig,
    OptimizerConfig,
    TrainConfig,
    plain,
)
from bacalhaunet.training.fit import FitResult
from bacalhaunet.training.run import train
from bacalhaunet.training.run_data import training_data
from bacalhaunet_paper.budgets import SEED, START, TEACHER, Budget
from bacalhaunet_paper.frames import refuse_training_seed, require_cells
from bacalhaunet_paper.jobs import Facts, Stages
from bacalhaunet_paper.measure import (
    COST_FILE,
    EVALUATION_FILE,
    closing_words,
    compare_engines,
    compare_qonnx,
    measure,
    measured_in_words,
    sample_frames,
    speeds,
)

RECORDED = "8PSK"
"""Modulation of the recording that is classified."""

SNR_MIN_DB = -6
"""Lowest SNR label trained on; the report's."""

RECORDED_FRAMES, RECORDED_SNR_DB, RECORDED_RATE = 64, 20, 1e6

SPEED_SECONDS = 6.0

SCRATCH_WEIGHT_DECAY = 1e-4
"""lambda of a training from scratch, the report's."""

WEIGHT_RMS = 1.22
"""Root mean square of the lengths that epsilon is compared with, in units of saliency. It is free: the epsilons of the
report are lengths in a network of unknown scale. Chosen once, on validation, for a score just below 0.0175."""

RATES, TUNING_RATES = (0.002, 0.02), ((0.003, 0.03), (0.003, 0.03), (0.0015, 0.015))
"""Peak learning rates, of Adam and of Muon, of the training at 6 bits and of the one after each pruning."""


@dataclass(frozen=True)
class PipelineConfig:
    """A run of the main job.

    Attributes:
        budget: Frames and epochs.
        start: A float network, shipped or saved; None trains from scratch at 6 bits, by the report's own settings.
        data: A file in RadioML's layout; None makes a file of twin frames.
        seed: Of the frames, their order, and weights drawn.
        steps: lambda and epsilon of each pruning; the report's.
    """

    budget: Budget
    start: str | None = START
    data: Path | None = None
    seed: int = SEED
    steps: tuple[PruneStep, ...] = REPORT_STEPS

    @property
    def initial_weight_decay(self) -> float:
        """Lambda of the training before the first pruning."""
        return SCRATCH_WEIGHT_DECAY if self.start is None else 0.0

    def training(self, file: Path, start: Path | None) -> TrainConfig:
        """Return the training at 6 bits, sums of 6 bits included."""
        bits = BitsConfig(weight=6, activation=6, input=8, sum=6)
        if start is None:
            optimizer = OptimizerConfig(0.01, self.initial_weight_decay)
            return self._config("bacalhaunet", file, optimizer, self.budget.train_epochs, bits)
        return self._config(str(start), file, _muon(*RATES), self.budget.bits_epochs, bits)

    def tuning(self, file: Path, network: Path, number: int) -> TrainConfig:
        """Return the training after a pruning step, numbered from 1, but for its lambda."""
        optimizer = OptimizerConfig(0.01) if self.start is None else _muon(*TUNING_RATES[number - 1])
        return self._config(str(network), file, optimizer, self.budget.prune_epochs, None)

    def _config(
        self, network: str, file: Path, optimizer: OptimizerConfig, epochs: int, bits: BitsConfig | None
    ) -> TrainConfig:
        return TrainConfig(
            network=network,
            bits=bits,
            optimizer=optimizer,
            data=DataConfig(file=file, frames_per_epoch=self.budget.frames_per_epoch, snr_min_db=SNR_MIN_DB),
            epochs=epochs,
            batch_size=self.budget.batch_size,
            seed=self.seed,
            checkpoint_every_steps=50,
            threads=self.budget.threads,
            distillation=None if self.start is None else DistillationConfig(TEACHER, 0.7, 2.0),
        )

    def plain(self) -> Facts:
        """Return the configuration as plain values: the settings of every training with it."""
        file = self.data or Path("twin.hdf5")
        start = None if self.start is None else Path(self.start)
        numbers = range(1, len(self.steps) + 1)
        return {
            "budget": asdict(self.budget),
            "start": self.start,
            "data": None if self.data is None else str(self.data),
            "seed": self.seed,
            "steps": [asdict(step) for step in self.steps],
            "training": plain(self.training(file, start)),
            "tuning": [plain(self.tuning(file, Path("training"), number)) for number in numbers],
            "criterion": self.criterion(),
        }

    def criterion(self) -> Facts:
        """Return what epsilon is compared with, for ``prune``: from scratch the weights as they are."""
        return {} if self.start is None else {"importance": "saliency", "weight_rms": WEIGHT_RMS}

    def command(self) -> list[str]:
        """Return the command that does this run again."""
        words = ["bacalhaunet", "reproduce", "--budget", self.budget.name]
        if self.start is None:
            words.append("--from-scratch")
        elif self.start != START:
            words += ["--start", self.start]
        if self.data is not None:
            words += ["--data", str(self.data)]
        return words if self.seed == SEED else [*words, "--seed", str(self.seed)]


def _muon(learning_rate: float, matrix_learning_rate: float) -> OptimizerConfig:
    return OptimizerConfig(learning_rate, 0.0, "one-cycle", kind="muon", matrix_learning_rate=matrix_learning_rate)


class Pipeline:
    """Does the main job in a folder; what was done before is not done again.

    Args:
        config: Budget and settings.
        folder: The run folder.
    """

    def __init__(self, config: PipelineConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        if config.data is None and config.start is not None:
            refuse_training_seed(config.seed, [config.start, TEACHER])
        self.stages = Stages(folder, config.plain())
        self.data_file = config.data or folder / "twin.hdf5"
        self.steps: list[StepRecord] = []
        self.curve: list[CurveRecord] = []

    def run(self) -> Path:
        """Do every stage that is not done, say what came out, and return the path of the report."""
        if self.config.data is None:
            self.stages.run("data", "making a file of twin frames", self._make_data)
        else:
            require_cells(self.config.data, [by_name(RECORDED).label], [RECORDED_SNR_DB])
        self._start()
        self._train()
        final = self._prune()
        exported = self.stages.run("export", "exporting as QONNX and QCDQ", lambda folder: self._export(final, folder))
        parity = self.stages.run("engines", "comparing engines with torch", lambda _: self._engines(final, exported))
        speed = self.stages.run("speed", "timing the engines on one core", lambda _: self._speed(exported))
        named = self.stages.run(
            "recording", "writing a recording and naming it", lambda folder: self._recording(exported, folder)
        )
        self._record(parity, speed, named)
        report = write_report(self.folder)
        for line in closing_words(self.folder, RECORDED):
            print(line)
        return report

    def _make_data(self, _folder: Path) -> Facts:
        generate_file(self.data_file, Generation(self.config.budget.file_frames_per_cell, self.config.seed))
        return {"file": self.data_file.name}

    def _start(self) -> None:
        """Measure the float network that the job starts from."""
        if self.config.start is None:
            return
        source = resolve_network(self.config.start, ("shipped", "saved"), "a float network to start from").saved
        assert source is not None

        def work(folder: Path) -> Facts:
            model = folder / MODEL_FILE
            shutil.copyfile(source, model)
            return {"measured": measure(model, self.data_file, folder)}

        facts = self.stages.run("start", f"measuring {self.config.start}, the float network to start from", work)
        self._note("start", "float network", "start", None, facts)

    def _train(self) -> None:
        start = None if self.config.start is None else self.folder / "stages" / "start" / MODEL_FILE

        def work(folder: Path) -> Facts:
            trained = train(self.config.training(self.data_file, start), folder, title="6 bits")
            return _fitted(trained.result) | {"measured": measure(trained.model, self.data_file, folder)}

        facts = self.stages.run("train", "training at 6 bits", work)
        self._note("train", "6 bits", "train", PruneStep(self.config.initial_weight_decay, 0.0), facts)

    def _prune(self) -> Path:
        """Prune in the report's three steps and return the network that is left."""
        network = self.folder / "stages" / "train" / MODEL_FILE
        for number in range(1, len(self.config.steps) + 1):
            network = self._prune_once(number, network)
        return network

    def _prune_once(self, number: int, network: Path) -> Path:
        name, title = f"prune/step-{number}", f"pruning step {number}"
        step = self.config.steps[number - 1]

        def work(folder: Path) -> Facts:
            config = self.config.tuning(self.data_file, network, number)
            how = self.config.criterion()
            (run,) = prune(config, [step], folder, data=training_data(config), title=title, **how)
            shutil.copyfile(run.model, folder / MODEL_FILE)
            return _fitted(run.result) | {"measured": measure(run.model, self.data_file, folder)}

        cut = f"lambda {step.weight_decay:g}, epsilon {step.min_abs_weight:g}"
        facts = self.stages.run(name, f"pruning, step {number} of {len(self.config.steps)}: {cut}", work)
        self._note(name, title, "prune", step, facts)
        return self.folder / "stages" / name / MODEL_FILE

    def _note(self, place: str, title: str, kind: str, step: PruneStep | None, facts: Facts) -> None:
        """Keep one step for the record, and its part of the learning curve."""
        self.stages.say(f"{title}: {measured_in_words(facts['measured'])}")
        before = self.curve[-1].frames if self.curve else 0
        self.curve += [CurveRecord(before + frames, accuracy) for frames, accuracy in facts.get("curve", [])]
        self.steps.append(
            StepRecord(
                slug=place.replace("/", "-"),
                title=title,
                kind=kind,
                frames_seen=facts.get("frames_seen", 0),
                seconds=facts.get("training_seconds", 0.0),
                weight_decay=None if step is None else step.weight_decay,
                min_abs_weight=step.min_abs_weight if step is not None and kind == "prune" else None,
                evaluation=f"stages/{place}/{EVALUATION_FILE}",
                cost=f"stages/{place}/{COST_FILE}",
                model=f"stages/{place}/{MODEL_FILE}",
            )
        )

    def _export(self, model: Path, folder: Path) -> Facts:
        saved = load_model(model)
        files = {}
        for format_ in ("qonnx", "qcdq"):
            path = folder / f"bacalhaunet.{format_}.onnx"
            export_network(saved.network, path, format_, spec=saved.spec, classes=saved.classes, dynamic_batch=True)
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

    def _speed(self, exported: Facts) -> Facts:
        rows = speeds(self.folder / exported["files"]["qonnx"], SPEED_SECONDS)
        for row in rows:
            self.stages.say(
                f"{row['engine']}: {row['frames_per_second']:,.0f} frames/s, one in {row['latency_us']:.0f} µs"
            )
        return {"engines": rows}

    def _recording(self, exported: Facts, folder: Path) -> Facts:
        samples = recorded_samples(self.data_file)
        path = write_sigmf(folder / "recording", samples, RECORDED_RATE, description=f"{RECORDED}, frames in a row")
        engine = open_engine(self.folder / exported["files"]["qcdq"])
        summary = Classification(engine, open_recording(path)).summary().to_dict()
        self.stages.say(f"the recording of {RECORDED} is named {summary['label']}")
        return {"summary": summary}

    def _record(self, parity: Facts, speed: Facts, named: Facts) -> None:
        RunRecord(
            name=f"reproduce-{self.config.budget.name}",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=shlex.join(self.config.command()),
            profile="file" if self.config.data else "twin",
            data=_describe(self.data_file),
            protocol=self._protocol(),
            steps=tuple(self.steps),
            parity=tuple(ParityRecord(**{**p, "engines": tuple(p["engines"])}) for p in parity["parity"]),
            speed=tuple(speed["engines"]),
            classification=named["summary"],
            curve=tuple(self.curve),
        ).write(self.folder)

    def _protocol(self) -> dict[str, Any]:
        with RadioMLFile(self.data_file) as file:
            per_cell = file.frames_per_cell
        return {
            "split": "RandomState(2018); test: first 10 % of each cell; validation: last 5 % of each train list",
            "frames_per_cell": per_cell,
            "train_snr_min_db": SNR_MIN_DB,
            "seed": self.config.seed,
            "selection": "the epoch with the best validation accuracy; the test part is read once per step",
        }


def _fitted(result: FitResult) -> Facts:
    """Return what a training gave as plain values."""
    curve = [[point.frames, point.validation_accuracy] for point in result.curve]
    return {"frames_seen": result.frames_seen, "training_seconds": result.seconds, "curve": curve}


def recorded_samples(data: Path) -> NDArray[np.complex64]:
    """Return test frames of one modulation at one SNR in a row, complex64: the recording of the main job."""
    with RadioMLFile(data) as file:
        label = by_name(RECORDED).label
        test = radioml_split(file.layout).test
        cell = file.layout.select(test, labels=[label], snr_min_db=RECORDED_SNR_DB, snr_max_db=RECORDED_SNR_DB)
        frames = file.read(np.sort(cell)[:RECORDED_FRAMES]).frames
    return (frames[:, 0] + 1j * frames[:, 1]).astype(np.complex64).reshape(-1)


def _describe(data: Path) -> str:
    with RadioMLFile(data) as file:
        return f"{data.name}: {len(file):,} frames, {file.frames_per_cell} of each modulation at each SNR"
