"""How much a reproduction may spend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BudgetName = Literal["quick", "cpu", "full"]


@dataclass(frozen=True)
class Budget:
    """Frames and epochs of a reproduction.

    Attributes:
        name: ``quick``: minutes on two cores; ``cpu``: hours on two cores; ``full``: the paper's frames, a GPU.
        file_frames_per_cell: Frames per cell of the twin file made when no file is given.
        train_epochs: Epochs of the initial training.
        prune_epochs: Epochs of each pruning iteration.
        parity_frames: Frames on which engines are compared.
        batch_size: Frames of a batch.
        slow_parity_frames: Frames on which qonnx, which runs 17 frames/s, is compared too.
    """

    name: BudgetName
    file_frames_per_cell: int
    train_epochs: int
    prune_epochs: int
    parity_frames: int
    slow_parity_frames: int
    batch_size: int = 1024


BUDGETS: dict[str, Budget] = {
    budget.name: budget
    for budget in (
        Budget("quick", 80, train_epochs=10, prune_epochs=3, parity_frames=2000, slow_parity_frames=48, batch_size=256),
        Budget("cpu", 1024, train_epochs=15, prune_epochs=5, parity_frames=5000, slow_parity_frames=200),
        Budget("full", 4096, train_epochs=25, prune_epochs=10, parity_frames=20000, slow_parity_frames=2000),
    )
}
"""The budgets by name."""
