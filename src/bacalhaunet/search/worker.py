"""A worker: takes trials from a study and runs them until the study has as many as were asked for.

Each trial is run once and none is lost, whatever happens to the workers: trials are taken under the study's lock, a
trial uses one of the study's places while it runs and once it is settled, and one whose worker died is failed and a new
trial with the same values waits in its stead. Optuna's loop and callbacks do less: ``MaxTrialsCallback`` looks after a
trial, so several workers run more than were asked for, and ``RetryFailedTrialCallback`` repeats neither a trial that
was interrupted nor one whose worker died before its first heartbeat.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from bacalhaunet.errors import BacalhauNetError
from bacalhaunet.outputs import write_text
from bacalhaunet.resume import file_lock
from bacalhaunet.search.objective import Judge, Outcome, remove_checkpoints, run_candidate
from bacalhaunet.search.settings import SearchConfig, Standing, is_hopeless
from bacalhaunet.search.space import choose_candidate
from bacalhaunet.search.study import (
    EXPECTED_SCORE,
    MIN_ABS_WEIGHT,
    SPEC,
    STOPPED_AFTER,
    StudyPlace,
    database_errors,
    open_study,
    study_lock,
)
from bacalhaunet.training.run_data import TrainingData, training_data

WORKER, ERROR, INTERRUPTED = "worker", "error", "interrupted"
RETRY_OF, RETRIES, FIRST = "retry_of", "retries", "first_number"
"""User attributes of a trial: the trial it repeats, how many workers died of it, the number of the first of them."""

_OF_ONE_ATTEMPT = (WORKER, ERROR, INTERRUPTED, RETRY_OF, RETRIES)


@dataclass(frozen=True)
class Claim:
    """What a worker is to do.

    Attributes:
        trial: Optuna's Trial to run; None for none.
        trial_id: Its key in the storage.
        running: Trials other workers are running; with no trial and none of these, the search has ended.
        settled: Trials that are done.
    """

    trial: Any
    trial_id: int
    running: int
    settled: int


def claim(study: Any, place: StudyPlace, config: SearchConfig) -> Claim:
    """Take the next trial: one that waits (a start, a retry), else a new one if a place is left."""
    with study_lock(place.url, place.name):
        requeue(study, config.max_retries)
        trials = study.get_trials(deepcopy=False)
        running = sum(trial.state == TrialState.RUNNING for trial in trials)
        settled = sum(is_settled(trial, trials, config.max_retries) for trial in trials)
        if running + settled >= config.trials:
            return Claim(None, 0, running, settled)
        turn = sum(trial.state != TrialState.WAITING for trial in trials)
        study.sampler = make_sampler(config, turn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's advice to use its heartbeat within Study.optimize only
            trial = study.ask()
        storage = study._storage
        trial_id: int = storage.get_trial_id_from_study_id_trial_number(
            storage.get_study_id_from_name(place.name), trial.number
        )
        # The stamp comes first: a running trial without the name of its worker was left between these lines.
        storage.record_heartbeat(trial_id)
        trial.set_user_attr(WORKER, f"{socket.gethostname()}:{os.getpid()}")
        return Claim(trial, trial_id, running, settled)


def make_sampler(config: SearchConfig, turn: int) -> Any:
    """Return the sampler of one trial.

    Its seed follows from the study's and from the number of trials begun before, so that no two workers draw alike
    and one worker alone repeats its search.
    """
    seed = int(np.random.SeedSequence([config.seed, turn]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if config.sampler == "tpe":
            return optuna.samplers.TPESampler(
                multivariate=True, group=True, constant_liar=True, n_startup_trials=20, seed=seed
            )
        if config.sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(population_size=24, seed=seed)
        return optuna.samplers.RandomSampler(seed=seed)


def requeue(study: Any, max_retries: int) -> None:
    """Fail the trials of workers that are gone, and queue their values again.

    Every step can be repeated: killed in the middle, the next worker ends it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if WORKER not in trial.user_attrs:
            study.tell(trial.number, state=TrialState.FAIL)
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        lost = trial.state == TrialState.FAIL and not is_settled(trial, trials, max_retries)
        if lost and trial.number not in _repeated(trials):
            study.add_trial(_again(trial))


def is_settled(trial: FrozenTrial, trials: Sequence[FrozenTrial], max_retries: int) -> bool:
    """Say whether a trial is done: it has values, its network could not be trained, or it killed all its workers."""
    if trial.state != TrialState.FAIL:
        return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    if trial.number in _repeated(trials):
        return False
    return ERROR in trial.user_attrs or _deaths(trial) > max_retries


def _repeated(trials: Sequence[FrozenTrial]) -> set[int]:
    return {trial.user_attrs[RETRY_OF] for trial in trials if RETRY_OF in trial.user_attrs}


def _deaths(trial: FrozenTrial) -> int:
    """Count the workers that died of this trial's values; an interruption by the user is none."""
    return int(trial.user_attrs.get(RETRIES, 0)) + (INTERRUPTED not in trial.user_attrs)


def _again(trial: FrozenTrial) -> FrozenTrial:
    """Return a waiting trial with the values chosen so far."""
    kept = {name: value for name, value in trial.user_attrs.items() if name not in _OF_ONE_ATTEMPT}
    attributes = {FIRST: trial.number, **kept, RETRY_OF: trial.number, RETRIES: _deaths(trial)}
    return optuna.create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=attributes,
        system_attrs=trial.system_attrs,
    )


@contextmanager
def heartbeat(storage: Any, trial_id: int, every_seconds: float) -> Iterator[None]:
    """Stamp a trial from a thread until the block ends.

    Optuna has such a thread of its own, but only within ``Study.optimize``.

    Args:
        storage: Optuna's RDBStorage.
        trial_id: The trial's key in it.
        every_seconds: Time between two stamps.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(storage, trial_id, every_seconds, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(storage: Any, trial_id: int, every_seconds: float, ended: threading.Event) -> None:
    while not ended.wait(every_seconds):
        try:
            storage.record_heartbeat(trial_id)
        except (StorageInternalError, SQLAlchemyError):
            continue  # the database may be back before the others miss us
    storage.remove_session()


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
    study = open_study(place, config, len(data.classes), data.frame_length)
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
    candidate = choose_candidate(trial, config.space, len(data.classes), data.frame_length)
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
