import pytest

from bacalhaunet.errors import ConfigError
from bacalhaunet_paper.jobs import Stages


def test_a_stage_that_is_done_is_not_run_again_and_its_facts_are_read_back(tmp_path):
    calls = []

    def work(folder):
        calls.append(folder)
        return {"answer": 42}

    first = Stages(tmp_path, {"seed": 1}).run("one", "first stage", work)
    second = Stages(tmp_path, {"seed": 1}).run("one", "first stage", work)
    assert calls == [tmp_path / "stages" / "one"]
    assert first["answer"] == second["answer"] == 42
    assert first == second


def test_a_stage_that_fails_is_run_again_and_finds_what_it_left(tmp_path):
    def fail(folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path, {}).run("one", "first stage", fail)
    facts = Stages(tmp_path, {}).run("one", "first stage", lambda folder: {"found": (folder / "half").read_text()})
    assert facts["found"] == "half"


def test_a_folder_begun_with_another_configuration_is_refused(tmp_path):
    Stages(tmp_path, {"seed": 1})
    with pytest.raises(ConfigError, match="seed was 1 and is 2"):
        Stages(tmp_path, {"seed": 2})


def test_facts_that_are_not_numbers_are_refused_rather_than_kept(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        Stages(tmp_path, {}).run("one", "first stage", lambda folder: {"accuracy": float("nan")})
    assert not (tmp_path / "stages" / "one" / "done.json").exists()
