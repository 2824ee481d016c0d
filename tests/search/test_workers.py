"""Real workers: processes of the command line on one study, one of them killed in a trial."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from collections import Counter

import optuna
import pytest
from optuna.trial import TrialState

from bacalhaunet.search.front import results
from bacalhaunet.search.study import read_study, study_place
from tests.search.postgres_server import postgres_programs, postgres_server
from tests.search.tiny import tiny_search

TRIALS, WORKERS = 6, 3
PATIENCE_SECONDS = 300


@pytest.fixture(scope="module")
def server():
    if postgres_programs() is None:
        pytest.skip("needs a PostgreSQL server: Debian's package postgresql")
    if os.getuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("needs the user postgres of Debian's package postgresql")
    with postgres_server() as url:
        yield url


def start_worker(folder, config, *words):
    log = (folder.parent / f"{folder.name}.log").open("w")
    command = [sys.executable, "-m", "bacalhaunet.cli.main", "search", "run", "--config", str(config)]
    return subprocess.Popen([*command, "--output", str(folder), *words], stdout=log, stderr=log)


def study_when_there(place):
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            return read_study(place)
        except Exception:  # not made yet, or half made
            time.sleep(0.3)
    raise AssertionError("no worker made the study")


def kill_in_a_trial(process, place):
    """Kill ``process`` with signal 9 while a trial of its own runs and has reached its first epoch."""
    study = study_when_there(place)
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "the worker ended before it could be killed"
        for trial in study.get_trials():
            mine = str(trial.user_attrs.get("worker", "")).endswith(f":{process.pid}")
            if not mine or trial.state != TrialState.RUNNING or "accuracy_after_epoch_1" not in trial.user_attrs:
                continue
            os.kill(process.pid, signal.SIGSTOP)  # so that the trial cannot end between this look and the kill
            now = study.get_trials()[trial.number]
            os.kill(process.pid, signal.SIGKILL if now.state == TrialState.RUNNING else signal.SIGCONT)
            if now.state == TrialState.RUNNING:
                process.wait()
                return now
        time.sleep(0.1)
    raise AssertionError("the worker never was in a trial")


def check_every_trial_is_there_once(study, killed):
    trials = study.get_trials()
    states = Counter(trial.state for trial in trials)
    assert set(states) <= {TrialState.COMPLETE, TrialState.FAIL}
    assert states[TrialState.COMPLETE] == TRIALS
    assert trials[killed.number].state == TrialState.FAIL
    heirs = Counter(trial.user_attrs["retry_of"] for trial in trials if "retry_of" in trial.user_attrs)
    assert heirs == {trial.number: 1 for trial in trials if trial.state == TrialState.FAIL}
    whole = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert [trial.params for trial in whole].count(killed.params) == 1
    assert len({str(sorted(trial.params.items())) for trial in whole}) == TRIALS
    assert all(0 <= result.accuracy <= 1 and result.score > 0 for result in results(study))


def test_three_workers_on_postgresql_one_killed_lose_no_trial_and_count_none_twice(server, tmp_path):
    config = tmp_path / "search.yaml"
    config.write_text(tiny_search(trials=TRIALS, epochs=4).to_yaml())
    place = study_place(tmp_path, server, "killed")
    words = ("--storage", server, "--study", "killed")
    workers = [start_worker(tmp_path / f"machine-{n}", config, *words) for n in range(WORKERS)]
    try:
        killed = kill_in_a_trial(workers[0], place)
        codes = [worker.wait(timeout=PATIENCE_SECONDS) for worker in workers[1:]]
    finally:
        for worker in workers:
            worker.kill()
    assert codes == [0, 0], "".join(log.read_text()[-3000:] for log in tmp_path.glob("*.log"))
    study = read_study(place)
    check_every_trial_is_there_once(study, killed)
    workers_seen = {trial.user_attrs["worker"] for trial in study.get_trials()}
    assert len(workers_seen) >= 2
    assert optuna.get_all_study_names(study._storage) == ["killed"]


def test_one_worker_on_sqlite_killed_and_started_again_goes_on_in_the_same_folder(tmp_path):
    config = tmp_path / "search.yaml"
    config.write_text(tiny_search(trials=2, epochs=4, heartbeat_seconds=1).to_yaml())
    folder = tmp_path / "study"
    place = study_place(folder)
    first = start_worker(folder, config)
    try:
        killed = kill_in_a_trial(first, place)
    finally:
        first.kill()
    again = start_worker(folder, config)
    assert again.wait(timeout=PATIENCE_SECONDS) == 0, (tmp_path / "study.log").read_text()[-3000:]
    trials = read_study(place).get_trials()
    assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: 2, TrialState.FAIL: 1}
    heir = next(trial for trial in trials if "retry_of" in trial.user_attrs)
    assert heir.params == killed.params
    folders = sorted(path.name for path in (folder / "trials").iterdir())
    assert folders == sorted(f"{trial.number:04d}" for trial in trials if "retry_of" not in trial.user_attrs)
