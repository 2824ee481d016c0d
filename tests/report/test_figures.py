"""Figures: well-formed SVG in the colours of the page, labels that do not cover each other, published points."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bacalhaunet.report.figures_of_runs import SnrCurve, accuracy_over_snr, confusion_matrix, learning_curve, row_shares
from bacalhaunet.report.run_record import CurveRecord
from bacalhaunet.report.score_plane import PlanePoint, score_plane, score_plane_figure
from bacalhaunet.report.style import ROLES, SERIES, spread, to_svg_file

PATH = [PlanePoint("first", 0.0735, 0.5762, (0.57, 0.58)), PlanePoint("last", 0.0162, 0.5624)]


def _texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


@given(st.lists(st.floats(0, 100), max_size=12), st.floats(0.1, 10))
def test_spread_keeps_the_order_and_the_gap(positions, gap):
    moved = spread(positions, gap)
    order = np.argsort(positions, kind="stable")
    assert all(np.diff(np.array(moved)[order]) >= gap - 1e-6)


def test_spread_leaves_what_is_apart_and_centres_what_is_not():
    assert spread([50.0, 10.0], 5) == [50.0, 10.0]
    assert spread([20.0, 20.0], 4) == [18.0, 22.0]
    assert spread([], 4) == []


def test_the_plane_holds_our_path_and_the_published_points():
    texts = _texts(score_plane(PATH))
    assert {"first", "last", "winner of 2021", "VGG10 baseline", "figure 4a, float", "the paper's path"} <= set(texts)


def test_points_far_from_the_published_ones_stay_inside_the_plane():
    for score, accuracy in ((0.0005, 0.05), (40.0, 0.99)):
        axes = score_plane_figure([PlanePoint("far", score, accuracy)]).axes[0]
        assert axes.get_xlim()[0] < score < axes.get_xlim()[1]
        assert axes.get_ylim()[0] < 100 * accuracy < axes.get_ylim()[1]
        assert axes.get_xlim()[0] < 0.0162 < 1 < axes.get_xlim()[1]


def test_only_two_published_points_are_named_where_they_would_crowd():
    texts = set(_texts(score_plane([PlanePoint("far", 0.01, 0.1)])))
    assert {"far", "winner of 2021", "VGG10 baseline"} <= texts
    assert not {"AaronNet32", "Imperial", "figure 4a, float", "the paper's path"} & texts


def test_labels_are_text_and_special_characters_survive():
    label = "<b>&\"'$x_1$"
    texts = _texts(accuracy_over_snr([SnrCurve(label, {0: 0.5, 10: 0.9})], []))
    assert label in texts


def test_curves_that_end_together_have_labels_apart():
    svg = accuracy_over_snr([SnrCurve(f"curve {k}", {0: 0.5, 30: 0.93}) for k in range(5)], [])
    heights = []
    for element in ElementTree.fromstring(svg).iter():
        if (element.text or "").startswith("curve "):
            heights.append(float(element.get("y")))
    assert len(heights) == 5
    assert min(np.diff(sorted(heights))) > 9


def test_colours_of_a_page_are_roles_and_of_a_file_are_colours():
    page = score_plane(PATH)
    for colour in (SERIES[0], *list(ROLES)[:2]):
        assert f"var({ROLES[colour]}, {colour})" in page
    assert "DejaVu" not in page
    assert "var(" not in to_svg_file(score_plane_figure(PATH), "plane")


def test_row_shares_sum_to_one_and_empty_rows_stay_zero():
    shares = row_shares(np.array([[3, 1], [0, 0]]))
    np.testing.assert_array_equal(shares, [[0.75, 0.25], [0, 0]])


def test_a_confusion_says_the_shares_that_count():
    counts = np.diag([80, 100]) + np.array([[0, 20], [0, 0]])
    texts = _texts(confusion_matrix(counts, ["A", "B"], "c", "two classes"))
    assert [text for text in texts if text.isdigit()] == ["80", "20", "100"]


@pytest.mark.parametrize(("frames", "unit"), [(5_000, "thousand frames seen"), (5_000_000, "million frames seen")])
def test_a_learning_curve_names_its_unit_and_its_end(frames, unit):
    texts = _texts(learning_curve([CurveRecord(frames, 0.5), CurveRecord(0, 0.04)]))
    assert unit in texts
    assert "50.0 %" in texts


def test_a_curve_of_one_point_at_the_start_can_be_drawn():
    assert "4.0 %" in _texts(learning_curve([CurveRecord(0, 0.04)]))


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(mpl.rcParams)
    score_plane(PATH)
    assert dict(mpl.rcParams) == before
