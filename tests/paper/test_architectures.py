"""Float networks against cost: the rows, the published values beside them, and what is concluded."""

import xml.etree.ElementTree as ElementTree

import pytest

from bacalhaunet.report import published
from bacalhaunet_paper.architectures import equals_printed, figure_3, figure_4, initial_experiments, order_finding
from bacalhaunet_paper.network_table import NetworkRow

PAPER = {f"figure4a-{number:02d}": point.accuracy for number, point in enumerate(published.figure_4a(), 1)}


def test_figure_4_has_the_13_architectures_with_the_paper_s_scores_to_the_digits_printed(made_up):
    result, svg = figure_4(made_up(lambda job: PAPER[job.label]))
    assert [row.paper_score for row in result.rows] == [point.score for point in published.figure_4a()]
    assert all(round(row.score, 3) == row.paper_score for row in result.rows)
    assert "13 of 13 scores equal" in result.findings[0]
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_accuracies_in_the_paper_s_order_are_said_to_be_and_the_reverse_are_said_not_to_be(made_up):
    same = figure_4(made_up(lambda job: PAPER[job.label]))[0]
    reverse = figure_4(made_up(lambda job: 1 - PAPER[job.label]))[0]
    separated = int(same.findings[1].split(" of 78 pairs")[0])
    assert separated > 50
    assert f"{separated} of them stand in the paper's order" in same.findings[1]
    assert "; 0 of them stand in the paper's order" in reverse.findings[1]


def test_a_budget_of_few_test_frames_is_said_to_separate_nothing(made_up):
    result, _ = figure_4(made_up(lambda job: PAPER[job.label], frames=600))
    assert result.findings[1].startswith("None of the 78 pairs have intervals apart")


def test_pairs_whose_intervals_overlap_are_not_counted():
    def row(label, accuracy, half, paper):
        return NetworkRow(label, 1.0, accuracy, (accuracy - half, accuracy + half), paper_accuracy=paper)

    rows = [row("a", 0.50, 0.01, 0.56), row("b", 0.505, 0.01, 0.57), row("c", 0.60, 0.01, 0.58)]
    assert order_finding(rows).startswith("2 of 3 pairs have intervals apart; 2 of them")


def test_the_initial_experiments_stand_beside_the_paper_s(made_up):
    result, _ = initial_experiments(made_up(lambda job: 0.6))
    assert [row.paper_accuracy for row in result.rows] == [0.613, 0.602, 0.18]
    assert round(result.rows[0].score, 2) == 30.42
    assert abs(result.rows[1].score / 7.25 - 1) < 0.03
    assert round(result.rows[2].score, 2) == 0.03
    assert "equal to the digits printed" in result.findings[2]
    assert "%" in result.findings[1]


def test_figure_3_shares_the_prototype_s_training_with_figure_4(made_up):
    jobs = made_up(lambda job: 0.5)
    figure_3(jobs)
    third = {job.name for job in jobs.trained}
    jobs = made_up(lambda job: 0.5)
    figure_4(jobs)
    assert len(third & {job.name for job in jobs.trained}) == 1


def test_longer_kernels_cost_more_and_the_gain_is_said_in_points(made_up):
    from dataclasses import replace

    jobs = made_up(lambda job: 0.5 + job.spec.blocks[0].kernel / 1000)
    jobs.setting = replace(jobs.setting, budget=replace(jobs.setting.budget, kernels=(5, 15, 25)))
    result, _ = figure_3(jobs)
    scores = [row.score for row in result.rows[:-1]]
    assert scores == sorted(scores)
    assert "From kernels of 5 to 15: +1.00 points" in result.findings[0]


@pytest.mark.parametrize(
    ("score", "printed", "equal"), [(30.4194, 30.42, True), (0.0273, 0.03, True), (7.28, 7.25, False)]
)
def test_scores_are_compared_to_the_digits_printed(score, printed, equal):
    assert equals_printed(score, printed) is equal
