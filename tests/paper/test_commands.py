"""The commands that the reproduction brings: found by their names, and each help an example."""

from __future__ import annotations

import pytest

pytest.importorskip("lightning")

from bacalhaunet.cli.main import main


def test_fidelity_names_a_folder_without_networks(tmp_path, capsys):
    assert main(["fidelity", "--networks", str(tmp_path)]) == 2
    assert "no network" in capsys.readouterr().err


def test_an_ablation_without_a_target_score_is_refused(tmp_path, capsys):
    assert main(["ablation", "lite", "--min-accuracy", "0.5", "-o", str(tmp_path / "run")]) == 2
    assert "--target-score" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["reproduce", "ship", "fidelity", "ablation"])
def test_help_teaches_by_an_example(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "example:" in text
    assert f"bacalhaunet {name}" in text


def test_the_main_job_refuses_frames_that_its_networks_were_trained_on(tmp_path, capsys):
    assert main(["reproduce", "--start", "paper", "--seed", "20261125", "-o", str(tmp_path / "run")]) == 2
    assert "trained on frames of seed 20261125" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
