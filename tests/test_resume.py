"""A folder is claimed by one set of settings and one process at a time; its pieces of work are done once."""

import os
import signal
import subprocess
import sys

import pytest

from bacalhaunet.errors import ConfigError
from bacalhaunet.resume import CONFIG_FILE, claim_folder, once

HOLDER = """
import sys, time
from pathlib import Path
from bacalhaunet.resume import claim_folder
with claim_folder(Path(sys.argv[1]), {"seed": 1}):
    print("held", flush=True)
    time.sleep(600)
"""


def test_work_that_is_done_is_read_back_as_it_was_returned(tmp_path):
    path = tmp_path / "part" / "sum.json"
    first = once(path, lambda: {"values": (1, 0.1 + 0.2)})
    assert first == {"values": [1, 0.1 + 0.2]}
    assert once(path, lambda: pytest.fail("done twice")) == first


def test_work_that_is_interrupted_leaves_nothing_that_looks_done_and_finds_its_files_again(tmp_path):
    def fails():
        (tmp_path / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(tmp_path / "done.json", fails)
    assert [path.name for path in tmp_path.iterdir()] == ["half"]
    assert once(tmp_path / "done.json", lambda: (tmp_path / "half").read_text()) == "half"


def test_results_json_has_not_are_refused_and_damaged_ones_named(tmp_path):
    path = tmp_path / "done.json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        once(path, lambda: float("nan"))
    assert not path.exists()
    path.write_text("[1,")
    with pytest.raises(ConfigError, match="damaged"):
        once(path, lambda: 1)


def test_a_folder_of_other_settings_is_refused_with_what_differs(tmp_path):
    settings = {"epochs": 3, "optimizer": {"kind": "adam", "steps": (1, 2)}, "teacher": None, "threads": 1}
    with claim_folder(tmp_path, settings):
        pass
    kept = (tmp_path / CONFIG_FILE).read_text()
    with pytest.raises(ConfigError, match=r"optimizer\.kind was 'adam' and is 'muon'"):
        claim_folder(tmp_path, {**settings, "optimizer": {"kind": "muon", "steps": (1, 2)}})
    with pytest.raises(ConfigError, match="teacher was None and is 'big'"):
        claim_folder(tmp_path, {**settings, "teacher": "big"})
    assert (tmp_path / CONFIG_FILE).read_text() == kept
    with claim_folder(tmp_path, settings):
        pass


def test_settings_of_where_it_runs_may_differ(tmp_path):
    settings = {"epochs": 3, "threads": 1, "accelerator": "cpu"}
    claim_folder(tmp_path, settings)
    claim_folder(tmp_path, {**settings, "threads": 8, "accelerator": "gpu"})
    with pytest.raises(ConfigError, match="epochs was 3 and is 4"):
        claim_folder(tmp_path, {**settings, "epochs": 4})


def test_another_process_is_refused_until_the_first_has_ended_however_it_ends(tmp_path):
    pytest.importorskip("fcntl")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="another process"):
            claim_folder(tmp_path, {"seed": 1})
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    with claim_folder(tmp_path, {"seed": 1}):
        pass


def test_a_process_may_claim_its_folder_again_and_gives_it_back_at_the_end(tmp_path):
    pytest.importorskip("fcntl")
    with claim_folder(tmp_path, {"seed": 1}), claim_folder(tmp_path, {"seed": 1}):
        pass
    command = [sys.executable, "-c", HOLDER.replace("time.sleep(600)", "pass"), str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "held\n"
