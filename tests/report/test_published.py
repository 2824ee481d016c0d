"""The published figures: equal to the reference where it is at hand, and consistent with each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bacalhaunet.cost.report import BASELINE_BIT_MEM, BASELINE_BIT_OPS
from bacalhaunet.models.catalog import CATALOG
from bacalhaunet.radio.modulations import SNRS_DB
from bacalhaunet.report import published

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "published-results.json"


@pytest.fixture(scope="module")
def reference():
    if not REFERENCE.is_file():
        pytest.skip("needs ../shared/reference/published-results.json")
    return json.loads(REFERENCE.read_text())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("table_3", "bacalhaunet_table_3"),
        ("pruning_steps", "bacalhaunet_pruning_steps"),
        ("figure_4a", "figure_4a"),
        ("earlier_models", "earlier_models"),
        ("other_entries", "other_entries"),
    ],
)
def test_each_list_equals_the_reference(reference, ours, theirs):
    assert published.figures()[ours]["points"] == reference[theirs]


def test_single_figures_equal_the_reference(reference):
    found = published.figures()
    for ours, theirs in (
        ("baseline", "baseline"),
        ("training", "bacalhaunet_training"),
        ("submission_cost", "bacalhaunet_submission_cost"),
    ):
        assert {key: value for key, value in found[ours].items() if key != "source"} == reference[theirs]
    drop = {"file", "model"}
    ours = [{key: value for key, value in row.items() if key not in drop} for row in found["networks"]["points"]]
    assert ours == [{key: value for key, value in row.items() if key not in drop} for row in reference["networks"]]


def test_the_score_is_computed_with_the_published_constants():
    assert (published.baseline().bit_ops, published.baseline().bit_mem) == (BASELINE_BIT_OPS, BASELINE_BIT_MEM)


def test_scores_follow_from_bit_operations_and_bit_memory():
    base = published.baseline()
    for row in published.figures()["networks"]["points"]:
        score = 0.5 * row["bit_ops"] / base.bit_ops + 0.5 * row["bit_mem"] / base.bit_mem
        assert score == pytest.approx(row["score"], abs=5e-7)


def test_the_winner_is_the_last_pruning_step_and_has_the_lowest_score_of_those_in_the_challenge():
    winner = published.winner()
    last = published.pruning_steps()[-1]
    assert (winner.accuracy, winner.score) == (last.accuracy, last.score) == (0.56241, 0.016211)
    assert winner.accuracy >= published.baseline().accuracy_at_least
    lower = [entry for entry in published.other_entries() if entry.score < winner.score]
    assert all(entry.note for entry in lower), "an entry that beats the winner says why it was not the winner"


@pytest.mark.parametrize(("network", "overall"), [("VGG10", 0.5947), ("AaronNet32", 0.5849)])
def test_a_curve_covers_all_snrs_and_its_mean_is_the_overall_accuracy(network, overall):
    curve = published.accuracy_by_snr(network)
    assert tuple(curve) == SNRS_DB
    assert sum(curve.values()) / len(curve) == pytest.approx(overall, abs=0.003)


def test_the_catalog_says_the_same_as_the_published_figures():
    for architecture in published.figure_4a():
        ours = CATALOG[architecture.label].figures[0]
        assert (ours.accuracy, ours.score) == (architecture.accuracy, architecture.score)
    for point, figures in zip(published.table_3(), CATALOG["bacalhaunet"].figures, strict=False):
        assert (figures.accuracy, figures.score) == (point.accuracy, point.score)


def test_every_point_is_an_accuracy_a_score_and_a_source():
    lists = (
        published.table_3(),
        published.pruning_steps(),
        published.figure_4a(),
        published.earlier_models(),
        published.networks(),
        published.other_entries(),
    )
    assert [len(points) for points in lists] == [5, 4, 13, 3, 3, 5]
    for point in (point for points in lists for point in points):
        assert 0 < point.accuracy < 1
        assert point.score > 0
        assert point.label
        assert point.source
