"""Pruning over a grid: what is selected, what is explored, and what stands beside it."""

import xml.etree.ElementTree as ElementTree

import pytest

from bacalhaunet.compression.config import REPORT_STEPS
from bacalhaunet.report import published
from bacalhaunet_paper import figure_5 as module
from bacalhaunet_paper.figure_5 import TOLERANCE, explore, figure_5, published_path, select
from bacalhaunet_paper.jobs import Trained


@pytest.fixture(autouse=True)
def _no_files(monkeypatch, made_up):
    """Slimming reads a saved network for its specification; here there is none."""
    monkeypatch.setattr(module, "slimming", lambda jobs: {"slimming: half": slim(jobs)})


def slim(jobs):
    trained = Trained("slim", 0.4, 1, 0.03, 1.0)
    jobs.accuracies["slim"] = 0.4
    return trained


def network(accuracy, score):
    return Trained("x", accuracy, 1, score, 1.0)


def test_the_lowest_score_close_to_the_best_is_selected_not_the_lowest_of_all():
    candidates = [network(0.50, 0.07), network(0.50 - TOLERANCE / 2, 0.05), network(0.40, 0.01)]
    assert select(candidates) == candidates[1]


def test_every_iteration_tries_the_whole_grid_from_the_network_selected_before(made_up):
    jobs = made_up(lambda job: 0.5)
    start = jobs.train(module.six_bit_job())
    explored = explore(jobs, start)
    grid = len(jobs.setting.budget.weight_decays) * len(jobs.setting.budget.min_abs_weights)
    assert [entry.iteration for entry in explored] == [1] * grid + [2] * grid + [3] * grid
    assert sum(entry.selected for entry in explored) == 3
    chosen = [entry.trained.model for entry in explored if entry.selected]
    starts = [job.start for job in jobs.trained[1:]]
    assert starts == [start.model] * grid + [chosen[0]] * grid + [chosen[1]] * grid


def test_the_report_s_own_settings_are_gone_through_in_its_order(made_up):
    jobs = made_up(lambda job: 0.5)
    path = published_path(jobs, jobs.train(module.six_bit_job()))
    done = [(job.weight_decay, job.min_abs_weight) for job in jobs.trained[1:]]
    assert done == [(step.weight_decay, step.min_abs_weight) for step in REPORT_STEPS]
    assert len(path) == 4


def test_the_table_has_the_path_the_report_s_settings_and_slimming_with_the_reason(made_up):
    result, svg = figure_5(made_up(lambda job: 0.5))
    beside = [row for row in result.rows if row.paper_score is not None]
    assert [row.paper_score for row in beside] == [step.score for step in published.pruning_steps()]
    assert [row.label.split(",")[0] for row in beside] == ["6 bits"] + ["the report's settings"] * 3
    assert any(row.label == "slimming: half" for row in result.rows)
    assert any("counts weights one by one" in finding for finding in result.findings)
    assert len(result.extra["explored"]) == 12
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_an_epsilon_that_removes_a_layer_is_said_to_and_the_others_go_on(made_up, monkeypatch):
    given = module.try_train
    monkeypatch.setattr(module, "try_train", lambda jobs, job: None if job.min_abs_weight == 0.25 else given(jobs, job))
    result, _ = figure_5(made_up(lambda job: 0.5))
    assert "removes a whole layer" in result.markdown()
    assert sum(entry["selected"] for entry in result.extra["explored"]) == 3


def test_a_grid_that_removes_a_layer_everywhere_ends_the_path(made_up, monkeypatch):
    monkeypatch.setattr(module, "try_train", lambda jobs, job: None)
    result, svg = figure_5(made_up(lambda job: 0.5))
    assert [row.label for row in result.rows] == ["6 bits, not pruned", "slimming: half"]
    assert ElementTree.fromstring(svg).tag.endswith("svg")
