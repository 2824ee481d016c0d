import sqlite3
import warnings
from collections import Counter

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from bacalhaunet.errors import ConfigError
from bacalhaunet.resume import file_lock
from bacalhaunet.search import worker
from bacalhaunet.search.objective import Outcome
from bacalhaunet.search.space import choose_candidate
from bacalhaunet.search.study import open_study, study_place
from bacalhaunet.search.worker import claim, make_sampler, trial_folder
from tests.search.tiny import tiny_search


class Desk:
    """A study in a file, with the moves of a worker."""

    def __init__(self, folder, **changes):
        self.config = tiny_search(**changes)
        self.folder, self.place = folder, study_place(folder)
        self.study = open_study(self.place, self.config, 24)

    def claim(self):
        return claim(self.study, self.place, self.config).trial

    def begin(self):
        trial = self.claim()
        choose_candidate(trial, self.config.space, 24)
        return trial

    def tell(self, trial):
        return worker._tell(self.study, trial, Outcome(0.5, 0.01))

    def silence(self):
        """Let an hour pass since the last sign of life."""
        with sqlite3.connect(self.folder / "study.db") as database:
            database.execute("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')")

    def states(self):
        return Counter(trial.state for trial in self.study.get_trials(deepcopy=False))


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "study")


def test_no_more_trials_are_given_out_than_asked_for(desk):
    begun = [desk.begin() for _ in range(3)]
    assert desk.claim() is None
    assert all(desk.tell(trial) for trial in begun)
    assert desk.claim() is None
    assert desk.states() == {TrialState.COMPLETE: 3}


def test_a_trial_whose_worker_fell_silent_is_given_out_again_with_its_values(desk):
    lost, done = desk.begin(), desk.begin()
    assert desk.tell(done)
    desk.silence()
    again = desk.begin()
    assert again.params == lost.params
    assert (again.user_attrs["retry_of"], again.user_attrs["first_number"]) == (lost.number, lost.number)
    assert desk.tell(again)
    assert desk.tell(desk.begin())
    assert desk.claim() is None
    assert desk.states() == {TrialState.COMPLETE: 3, TrialState.FAIL: 1}


def test_a_worker_that_was_only_slow_is_not_counted_beside_the_one_that_took_over(desk):
    slow = desk.begin()
    desk.silence()
    again = desk.begin()
    assert not desk.tell(slow)
    assert desk.tell(again)
    assert desk.states() == {TrialState.COMPLETE: 1, TrialState.FAIL: 1}


def test_a_trial_taken_by_a_worker_killed_before_its_first_sign_of_life_is_not_lost(desk):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        orphan = desk.study.ask()
    begun = [desk.begin() for _ in range(3)]
    assert begun[0].user_attrs["retry_of"] == orphan.number
    assert desk.claim() is None


def test_a_worker_killed_between_failing_a_trial_and_queueing_it_again_loses_nothing(desk):
    lost = desk.begin()
    desk.study.tell(lost, state=TrialState.FAIL)
    again = desk.begin()
    assert again.params == lost.params
    assert "retry_of" not in desk.begin().user_attrs


def test_a_trial_that_kills_every_worker_is_given_up_and_counted(tmp_path):
    desk = Desk(tmp_path / "study", trials=1, max_retries=2)
    for retries in range(3):
        trial = desk.begin()
        assert trial.user_attrs.get("retries", 0) == retries
        desk.silence()
    assert desk.claim() is None
    assert desk.states() == {TrialState.FAIL: 3}


def test_interruptions_by_the_user_do_not_use_up_the_retries(tmp_path):
    desk = Desk(tmp_path / "study", trials=1, max_retries=0)
    values = []
    for _ in range(4):
        trial = desk.begin()
        values.append(trial.params)
        worker._fail(desk.study, trial, "interrupted", True)
    assert all(value == values[0] for value in values)


def test_a_network_that_cannot_be_trained_is_settled(tmp_path):
    desk = Desk(tmp_path / "study", trials=1)
    worker._fail(desk.study, desk.begin(), "error", "it cannot")
    assert desk.claim() is None


def test_a_search_goes_on_with_more_trials(tmp_path):
    desk = Desk(tmp_path / "study", trials=1)
    assert desk.tell(desk.begin())
    more = Desk(tmp_path / "study", trials=2)
    assert more.tell(more.begin())
    assert more.claim() is None


def test_two_studies_of_one_seed_choose_the_same_and_trials_differ(tmp_path):
    chosen = []
    for name in ("a", "b"):
        desk = Desk(tmp_path / name)
        chosen.append([desk.begin().params for _ in range(3)])
    assert chosen[0] == chosen[1]
    assert chosen[0][0] != chosen[0][1] != chosen[0][2]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_every_sampler_goes_on_after_its_first_random_trials_and_repeats_by_its_seed(sampler):
    config, runs = tiny_search(sampler=sampler), []
    for _ in range(2):
        study = optuna.create_study(directions=["maximize", "minimize"])
        for number in range(26):
            study.sampler = make_sampler(config, number)
            trial = study.ask()
            share = choose_candidate(trial, config.space, 24).prune_share
            study.tell(trial, (0.5 - share, 0.01 - share / 100))
        runs.append([trial.params for trial in study.trials])
    assert runs[0] == runs[1]
    assert len({tuple(params.items()) for params in runs[0]}) >= 24


def test_starts_are_tried_first_each_once(tmp_path):
    from bacalhaunet.search.space import SearchSpace

    changes = {"space": SearchSpace(), "starts": ("bacalhaunet", "prototype", "bacalhaunet", "vgg10"), "trials": 4}
    desk = Desk(tmp_path / "study", **changes)
    Desk(tmp_path / "study", **changes)  # a second worker queues nothing
    begun = [desk.begin() for _ in range(4)]
    assert [trial.user_attrs.get("start") for trial in begun] == ["bacalhaunet", "prototype", None, None]
    assert [begun[0].params[f"block.{i}.kernel"] for i in range(5)] == [27, 21, 15, 9, 9]


def test_other_settings_are_refused_and_those_of_the_machine_are_not(tmp_path):
    Desk(tmp_path / "study")
    Desk(tmp_path / "study", threads=2, heartbeat_seconds=5, trials=50)
    with pytest.raises(ConfigError, match="epochs: 5"):
        Desk(tmp_path / "study", epochs=5)


def test_a_folder_in_use_by_a_living_process_is_left_to_it(tmp_path):
    with trial_folder(tmp_path, 3, 3) as own:
        assert own.name == "0003"
        with trial_folder(tmp_path, 3, 8) as other:
            assert other.name == "0003-0008"
    with trial_folder(tmp_path, 3, 9) as own:
        assert own.name == "0003"
    with file_lock(tmp_path / "free"):
        pass


@pytest.mark.parametrize("storage", ["nonsense", "mysql://host/db", "sqlite://"])
def test_a_storage_that_cannot_be_used_is_refused(tmp_path, storage):
    with pytest.raises(ConfigError, match="storage is"):
        study_place(tmp_path, storage)


def test_a_database_that_does_not_answer_is_said_without_its_password(tmp_path):
    place = study_place(tmp_path, "postgresql://someone:secret@127.0.0.1:1/db")
    with pytest.raises(ConfigError, match="cannot be used") as raised:
        open_study(place, tiny_search(), 24)
    assert "secret" not in str(raised.value)


def test_a_database_whose_tables_another_worker_makes_at_the_same_moment_is_opened_again(tmp_path, monkeypatch):
    refused = []

    class Late(optuna.storages.RDBStorage):
        def __init__(self, *arguments, **settings):
            if len(refused) < 2:
                refused.append(1)
                raise OperationalError("CREATE TABLE trial_params", None, Exception("trial_params already exists"))
            super().__init__(*arguments, **settings)

    monkeypatch.setattr(optuna.storages, "RDBStorage", Late)
    assert Desk(tmp_path).claim().number == 0
    assert len(refused) == 2
