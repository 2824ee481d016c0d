"""A worker: takes trials from a study and runs them until the study has as many as were asked for."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from bacalhaunet.errors import BacalhauNetError
from bacalhaunet.outputs import write_text
from bacalhaunet.search.candidate import choose_candidate
from bacalhaunet.search.halving import Standing, is_hopeless
from bacalhaunet.search.heartbeat import heartbeat
from bacalhaunet.search.locking import file_lock
from bacalhaunet.search.objective import Judge, Outcome, remove_checkpoints, run_candidate
from bacalhaunet.search.settings import SearchConfig
from bacalhaunet.search.study import StudyPlace, database_errors, open_study
from bacalhaunet.search.trial_queue import ERROR, FIRST, INTERRUPTED, Claim, claim
from bacalhaunet.training.run_data import TrainingData, training_data

EXPECTED_SCORE, SPEC, STOPPED_AFTER, MIN_ABS_WEIGHT = "expected_score", "spec", "stopped_after", "min_abs_weight"
"""User attributes of a trial, beside those of ``trial_queue``."""

Say = Callable[[str], None]


def work(place: StudyPlace, config: SearchConfig, folder: Path, say: Say) -> None:
    """Run trials until the study has ``config.trials``.

    Where all that are left are run by others, it waits for them, to take one up again if its worker dies.

    Args:
        place: The study; made if absent.
        config: The search, the same for every worker.
        folder: Gets ``config.yaml`` and a folder for each trial run here.
        say: Gets a line of progress.

    Raises:
        ConfigError: If the study was begun with other settings, or its database no longer answers.
    """
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")  # small budgets are meant
    data = training_data(config.training("", config.epochs))
    study = open_study(place, config, data.classes)
    write_text(folder / "config.yaml", config.to_yaml())
    with database_errors(place):
        _run_all(study, place, config, data, folder, say)


def _run_all(study: Any, place: StudyPlace, config: SearchConfig, data: TrainingData, folder: Path, say: Say) -> None:
    waiting = False
    while True:
        taken = claim(study, place, config)
        if taken.trial is not None:
            waiting = False
            _run(study, taken, config, data, folder, say)
        elif taken.running:
            if not waiting:
                say(f"waiting for {taken.running} trials of other workers")
            waiting = True
            time.sleep(min(5, config.heartbeat_seconds))
        else:
            say(f"{taken.settled} trials are done")
            return


def _run(study: Any, taken: Claim, config: SearchConfig, data: TrainingData, folder: Path, say: Say) -> None:
    trial, title = taken.trial, f"trial {taken.trial.number}"
    with heartbeat(study._storage, taken.trial_id, config.heartbeat_seconds):
        try:
            outcome = _measure(study, trial, config, data, folder, title)
        except UpdateFinishedTrialError:
            say(f"{title}: another worker has taken it over, as no sign of life came from here")
            return
        except BacalhauNetError as error:
            say(f"{title}: {error}")
            _fail(study, trial, ERROR, str(error))
            return
        except (KeyboardInterrupt, SystemExit) as error:  # Lightning turns the first into the second
            _fail(study, trial, INTERRUPTED, True)
            raise KeyboardInterrupt from error
        except BaseException:
            _fail(study, trial, None, None)
            raise
        counted = _tell(study, trial, outcome)
    early = "" if outcome.stopped_after is None else f", stopped after epoch {outcome.stopped_after}"
    result = f"{100 * outcome.accuracy:.2f} % at {outcome.score:.4g}{early}"
    say(f"{title}: {result}" if counted else f"{title}: {result}; not counted, another worker has taken it over")


def _measure(study: Any, trial: Any, config: SearchConfig, data: TrainingData, folder: Path, title: str) -> Outcome:
    candidate = choose_candidate(trial, config.space, data.classes)
    expected = candidate.expected_score()
    trial.set_user_attr(SPEC, candidate.spec.to_json())
    trial.set_user_attr(EXPECTED_SCORE, expected)
    first = int(trial.user_attrs.get(FIRST, trial.number))
    with trial_folder(folder, first, trial.number) as own:
        outcome = run_candidate(candidate, config, data, own, _judge(study, trial, expected, config), title)
        remove_checkpoints(own)
    return outcome


@contextmanager
def trial_folder(folder: Path, first: int, number: int) -> Iterator[Path]:
    """Give the folder of a trial, the one of its first attempt unless a process that still lives is in there."""
    own = folder / "trials" / f"{first:04d}"
    try:
        with file_lock(own / ".lock", wait=False):
            yield own
            return
    except BlockingIOError:
        own = folder / "trials" / f"{first:04d}-{number:04d}"
    with file_lock(own / ".lock"):
        yield own


def _judge(study: Any, trial: Any, expected_score: float, config: SearchConfig) -> Judge:
    """Return what compares a trial with the others of the study that reached the same epoch."""
    epochs = config.halving.epochs(config.epochs)

    def judge(epoch: int, accuracy: float) -> bool:
        if epoch not in epochs:
            return False
        name = f"accuracy_after_epoch_{epoch}"
        trial.set_user_attr(name, accuracy)
        others = (
            Standing(other.user_attrs[name], other.user_attrs[EXPECTED_SCORE])
            for other in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.RUNNING])
            if other.number != trial.number and name in other.user_attrs
        )
        return is_hopeless(Standing(accuracy, expected_score), others, config.halving)

    return judge


def _tell(study: Any, trial: Any, outcome: Outcome) -> bool:
    """Record an outcome; False if the trial is no longer this worker's."""
    try:
        trial.set_user_attr(MIN_ABS_WEIGHT, outcome.min_abs_weight)
        if outcome.stopped_after is not None:
            trial.set_user_attr(STOPPED_AFTER, outcome.stopped_after)
        study.tell(trial, (outcome.accuracy, outcome.score))
    except (UpdateFinishedTrialError, ValueError) as error:
        if isinstance(error, ValueError) and "Cannot tell" not in str(error):
            raise
        return False
    return True


def _fail(study: Any, trial: Any, attribute: str | None, value: object) -> None:
    """Record that a trial did not end here; without an error of its own it is taken up again."""
    try:
        if attribute is not None:
            trial.set_user_attr(attribute, value)
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
    except UpdateFinishedTrialError:
        return
