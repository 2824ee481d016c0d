"""The published figures: those that were compared with their sources, and consistent with each other."""

from __future__ import annotations

import hashlib
import json

import pytest

from bacalhaunet.cost.report import BASELINE_BIT_MEM, BASELINE_BIT_OPS
from bacalhaunet.models.catalog import CATALOG
from bacalhaunet.radio.modulations import SNRS_DB
from bacalhaunet.report import published

# Digests of the figures when they were compared with the reference material, word for word and digit for digit.
COMPARED = {
    "table_3": "e24d1da3a8262870",
    "pruning_steps": "384e928490e0f837",
    "figure_4a": "8d526d6de8cf1108",
    "earlier_models": "8df130ae27d0b7e8",
    "other_entries": "c63a87e147641464",
    "networks": "efb9afe91632e7a4",
    "baseline": "ec6d0db33464e871",
    "training": "f17f8b078b5ed31e",
    "submission_cost": "7576fba550f55ab4",
}


@pytest.mark.parametrize("part", COMPARED)
def test_the_figures_are_those_that_were_compared_with_their_sources(part):
    found = published.figures()[part]
    own = {"file", "model"} if part == "networks" else set()
    if "points" in found:
        kept = [{key: value for key, value in row.items() if key not in own} for row in found["points"]]
    else:
        kept = {key: value for key, value in found.items() if key != "source"}
    assert hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16] == COMPARED[part]


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
