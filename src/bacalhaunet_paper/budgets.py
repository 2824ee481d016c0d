"""How much the main job, and a table or figure of the report, may spend: frames of trainings, not which trainings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

PAPER_FRAMES = 46_000_000
"""Frames the report's training of one network saw, about."""


START, TEACHER = "bacalhaunet-float", "accurate"
"""The shipped networks that the main job starts from and learns from."""

SEED = 2021
"""Of the main job's frames and their order: none that START or TEACHER were trained with."""

REPRODUCED, ALL = ("figure2", "table3", "figure5", "figure4", "figure3", "initial-experiments"), "all"
"""The tables and figures of the report that can be run again, and the word for all of them in this order."""

Kind = Literal["scratch", "initial", "float", "bits", "tune"]
"""Trainings: from scratch, of an initial experiment, of table 3's float network, on from that, after pruning."""


@dataclass(frozen=True)
class TableBudget:
    """Frames and grids of the reproductions of single tables and figures.

    Attributes:
        name: ``quick``: minutes on two cores; ``cpu``: at most six hours on two cores for all of them together;
            ``full``: the paper's frames and epochs, a GPU.
        train_frames: Frames of each training from scratch.
        train_epochs: Epochs they are divided into; validation follows each.
        tune_frames: Frames of each fine-tuning after pruning.
        tune_epochs: Epochs they are divided into.
        float_frames: Frames of the float network of table 3, which its trainings go on from, in float and at each
            width: what bits cost are tenths of a point, what two trainings from scratch differ by is a whole one. 0
            trains each from scratch, on ``train_frames``.
        bits_frames: Frames of each training that goes on from it, in ``tune_epochs`` epochs.
        initial_frames: Frames of each training of the initial experiments, whose MobileNetV3 takes fifty times
            BacalhauNet's time.
        batch_size: Frames of a batch.
        initial_batch_size: Frames of a batch in the initial experiments.
        schedule: The learning rate's schedule, as in ``OptimizerConfig``.
        optimizer: Of trainings from scratch: Muon where frames are few, since it needs less than half.
            Fine-tunings after pruning are always Adam's, whose lambda is the report's.
        validation_per_cell: Frames of each modulation and SNR that choices are made on.
        test_per_cell: Frames of each modulation and SNR that accuracies are measured on.
        spread_per_cell: Frames of each modulation whose samples figure 2 looks at.
        weight_decays: The grid's lambda of figure 5.
        min_abs_weights: The grid's epsilon of figure 5.
        kernels: Kernel lengths of figure 3.
    """

    name: str
    train_frames: int
    train_epochs: int
    tune_frames: int
    tune_epochs: int
    float_frames: int
    bits_frames: int
    initial_frames: int
    batch_size: int
    initial_batch_size: int
    schedule: Literal["warm-restarts", "one-cycle"]
    optimizer: Literal["adam", "muon"]
    validation_per_cell: int
    test_per_cell: int
    spread_per_cell: int
    weight_decays: tuple[float, ...]
    min_abs_weights: tuple[float, ...]
    kernels: tuple[int, ...]

    def frames_of(self, kind: Kind) -> tuple[int, int, int]:
        """Return the frames of a training of some kind, its epochs, and the frames of a batch."""
        return {
            "scratch": (self.train_frames, self.train_epochs, self.batch_size),
            "initial": (self.initial_frames, self.train_epochs, self.initial_batch_size),
            "float": (self.float_frames, self.train_epochs, self.batch_size),
            "bits": (self.bits_frames, self.tune_epochs, self.batch_size),
            "tune": (self.tune_frames, self.tune_epochs, self.batch_size),
        }[kind]


TABLE_BUDGETS: dict[str, TableBudget] = {
    budget.name: budget
    for budget in (
        TableBudget(
            "quick",
            train_frames=20_480,
            train_epochs=2,
            tune_frames=5_120,
            tune_epochs=1,
            float_frames=20_480,
            bits_frames=10_240,
            initial_frames=2_560,
            batch_size=128,
            initial_batch_size=64,
            schedule="one-cycle",
            optimizer="muon",
            validation_per_cell=2,
            test_per_cell=8,
            spread_per_cell=64,
            weight_decays=(5e-5, 1e-4),
            min_abs_weights=(0.15, 0.25),
            kernels=(5, 15, 27),
        ),
        TableBudget(
            "cpu",
            train_frames=163_840,
            train_epochs=8,
            tune_frames=40_960,
            tune_epochs=4,
            float_frames=819_200,
            bits_frames=327_680,
            initial_frames=32_768,
            batch_size=256,
            initial_batch_size=128,
            schedule="one-cycle",
            optimizer="muon",
            validation_per_cell=10,
            test_per_cell=410,
            spread_per_cell=256,
            weight_decays=(5e-5, 1e-4),
            min_abs_weights=(0.1, 0.15, 0.25, 0.35),
            kernels=(3, 5, 9, 15, 21, 27, 35),
        ),
        TableBudget(
            "full",
            train_frames=PAPER_FRAMES,
            train_epochs=25,
            tune_frames=18_400_000,
            tune_epochs=10,
            float_frames=0,
            bits_frames=0,
            initial_frames=PAPER_FRAMES,
            batch_size=1024,
            initial_batch_size=1024,
            schedule="warm-restarts",
            optimizer="adam",
            validation_per_cell=40,
            test_per_cell=410,
            spread_per_cell=1024,
            weight_decays=(2.5e-5, 5e-5, 1e-4, 2e-4),
            min_abs_weights=(0.1, 0.15, 0.25, 0.35),
            kernels=(3, 5, 9, 15, 21, 27, 35, 51),
        ),
    )
}
"""The budgets by name."""


@dataclass(frozen=True)
class Setting:
    """What all reproductions in one folder share.

    Attributes:
        budget: Frames and grids.
        data: A file in RadioML's layout; None generates frames of the twin.
        seed: Of weights, frames and their order.
        threads: Threads of torch; 0 leaves torch's choice.
    """

    budget: TableBudget
    data: Path | None = None
    seed: int = 1
    threads: int = 0

    def plain(self) -> dict[str, Any]:
        """Return the setting as plain values that YAML and JSON can hold."""
        budget = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self.budget).items()}
        data = None if self.data is None else str(self.data)
        return {"budget": budget, "data": data, "seed": self.seed}


BudgetName = Literal["quick", "cpu", "full"]


@dataclass(frozen=True)
class Budget:
    """Frames and epochs of the main job.

    Attributes:
        name: ``quick``: ten minutes on two cores; ``cpu``: hours on two cores; ``full``: the paper's frames, a GPU.
        file_frames_per_cell: Frames per cell of the twin file made when no file is given; a tenth of them is tested.
        train_epochs: Epochs of the training at 6 bits, through the whole file, where it begins from scratch.
        bits_epochs: Epochs of it where it goes on from a float network.
        prune_epochs: Epochs of each pruning step.
        frames_per_epoch: Training frames of an epoch; None goes through the whole file.
        parity_frames: Frames on which engines are compared.
        slow_parity_frames: Frames on which qonnx, which runs 17 frames/s, is compared too.
        batch_size: Frames of a batch.
        threads: Threads of torch; 0 leaves torch's choice.
    """

    name: BudgetName
    file_frames_per_cell: int
    train_epochs: int
    bits_epochs: int
    prune_epochs: int
    frames_per_epoch: int | None
    parity_frames: int
    slow_parity_frames: int
    batch_size: int = 256
    threads: int = 0


BUDGETS: dict[str, Budget] = {
    budget.name: budget
    for budget in (
        Budget("quick", 400, 10, 2, 2, 81_920, parity_frames=2000, slow_parity_frames=48, threads=2),
        Budget("cpu", 1024, 15, 5, 10, 204_800, parity_frames=5000, slow_parity_frames=200),
        Budget("full", 4096, 25, 10, 10, None, parity_frames=20000, slow_parity_frames=2000, batch_size=1024),
    )
}
"""The budgets by name."""
