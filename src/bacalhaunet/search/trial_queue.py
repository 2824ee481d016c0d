"""Which trial a worker runs next: each once, none lost, whatever happens to the workers.

All of it is done under the study's lock, so the number of trials is exact. A trial uses one of the study's places
while it runs and once it is settled. One whose worker died is failed, and a new trial with the same values waits in
its stead.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from bacalhaunet.search.locking import study_lock
from bacalhaunet.search.settings import SearchConfig
from bacalhaunet.search.study import StudyPlace

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
