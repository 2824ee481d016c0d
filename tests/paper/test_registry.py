"""Tables and figures by name, and how much they may spend."""

import json
from dataclasses import replace

import pytest

from bacalhaunet.cli.main import main
from bacalhaunet.errors import ConfigError
from bacalhaunet_paper.budgets import PAPER_FRAMES, TABLE_BUDGETS
from bacalhaunet_paper.registry import REPRODUCTIONS, reproduce


def test_every_name_of_the_report_is_there():
    assert set(REPRODUCTIONS) == {"initial-experiments", "figure2", "figure3", "figure4", "table3", "figure5"}


def test_a_name_that_is_none_is_refused_with_those_that_are(tiny, tmp_path, capsys):
    with pytest.raises(ConfigError, match="figure9"):
        reproduce("figure9", tiny, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert main(["reproduce", "figure9", "-o", str(tmp_path / "other")]) == 2
    assert "initial-experiments" in capsys.readouterr().err


def test_a_figure_is_made_from_frames_to_files_and_again_without_training(tiny, tmp_path, monkeypatch):
    (path,) = reproduce("figure3", tiny, tmp_path)
    before = json.loads((tmp_path / "figure3.json").read_text())
    assert path.is_file()
    assert (tmp_path / "figure3.svg").is_file()
    assert before["rows"][0]["frames_seen"] == tiny.budget.train_frames
    assert "of the paper's 46 million, for all alike" in before["protocol"]["frames of each training"]
    monkeypatch.setattr("bacalhaunet_paper.jobs.fit", None)
    reproduce("figure3", tiny, tmp_path)
    assert json.loads((tmp_path / "figure3.json").read_text()) == before


def test_full_has_the_paper_s_frames_and_cpu_and_full_the_whole_test_part():
    assert TABLE_BUDGETS["full"].train_frames == PAPER_FRAMES
    assert TABLE_BUDGETS["full"].schedule == "warm-restarts"
    assert {TABLE_BUDGETS[name].test_per_cell for name in ("cpu", "full")} == {410}


@pytest.mark.parametrize("name", ["quick", "cpu", "full"])
def test_a_budget_s_epochs_are_whole_batches_and_its_grid_has_the_report_s_settings(name):
    budget = TABLE_BUDGETS[name]
    assert budget.train_frames // budget.train_epochs >= budget.batch_size
    assert budget.tune_frames // budget.tune_epochs >= budget.batch_size
    assert {5e-5, 1e-4} <= set(budget.weight_decays)
    assert {0.15, 0.25} <= set(budget.min_abs_weights)
    assert budget == replace(budget)
