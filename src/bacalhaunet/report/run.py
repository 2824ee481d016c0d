"""A run as the report sees it: the record with the measurements it points to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bacalhaunet.errors import ConfigError
from bacalhaunet.report.run_record import CONFIG_FILE, RunRecord, StepRecord, read_run_record
from bacalhaunet.report.step_results import StepCost, StepEvaluation, read_cost, read_evaluation


@dataclass(frozen=True)
class RunStep:
    """One step with what was measured; None where it was not measured."""

    record: StepRecord
    evaluation: StepEvaluation | None
    cost: StepCost | None


@dataclass(frozen=True)
class Run:
    """A run with its steps and its resolved configuration (empty where the folder has none)."""

    folder: Path
    record: RunRecord
    steps: tuple[RunStep, ...]
    config: str

    @property
    def evaluated(self) -> tuple[RunStep, ...]:
        """The steps with an accuracy."""
        return tuple(step for step in self.steps if step.evaluation)

    @property
    def costed(self) -> tuple[RunStep, ...]:
        """The steps with a cost."""
        return tuple(step for step in self.steps if step.cost)


def load_run(folder: Path) -> Run:
    """Return the run in a folder.

    Raises:
        ConfigError: If the folder holds no record, or the record or a file it names is damaged or missing.
    """
    folder = Path(folder)
    record = read_run_record(folder)
    steps = tuple(
        RunStep(
            step,
            read_evaluation(folder / step.evaluation) if step.evaluation else None,
            read_cost(folder / step.cost) if step.cost else None,
        )
        for step in record.steps
    )
    return Run(folder, record, steps, _config(folder / CONFIG_FILE))


def _config(path: Path) -> str:
    if not path.exists():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the configuration cannot be read: {error}", where=str(path), allowed="UTF-8 text"
        ) from error
