"""Figures of the reproductions: well-formed, labelled, and right whatever few points they get."""

import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import pytest

from bacalhaunet.report.style import panels
from bacalhaunet_paper.figures import CostPoint, accuracy_cost, bit_widths, pruning_grid, sample_spread

POINTS = [CostPoint("one", 0.03, 0.18, (0.17, 0.19)), CostPoint("two", 7.25, 0.602), CostPoint("three", 30.42, 0.613)]


def _groups(svg):
    root = ElementTree.fromstring(svg)
    return [element.get("id") or "" for element in root.iter() if element.tag.endswith("}g")]


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_accuracy_over_cost_draws_a_panel_for_ours_and_one_for_the_paper_s(count, logarithmic):
    both = accuracy_cost("f", POINTS[:count], POINTS[:count], logarithmic=logarithmic)
    alone = accuracy_cost("f", POINTS[:count], [], joined=True)
    assert [sum(name.startswith("axes_") for name in _groups(svg)) for svg in (both, alone)] == [2, 1]


def test_a_figure_is_the_same_text_each_time_and_leaves_matplotlib_s_settings():
    before = dict(mpl.rcParams)
    assert accuracy_cost("f", POINTS, POINTS) == accuracy_cost("f", POINTS, POINTS)
    assert dict(mpl.rcParams) == before


def test_bit_widths_draw_lines_that_miss_some_representations():
    places = ["float32", "8 bits", "6 bits"]
    trained = {"float32": (0.5, (0.49, 0.51)), "8 bits": (0.49, None), "6 bits": (0.45, None)}
    rounded = {"8 bits": (0.4, None), "6 bits": (0.3, None)}
    svg = bit_widths("bits", places, {"trained": trained, "rounded": rounded}, {"float32": (0.59, None)})
    assert "legend_1" in _groups(svg)


def test_the_pruning_grid_is_drawn_with_parts_missing():
    for slimming in ([], POINTS):
        svg = pruning_grid("grid", [POINTS, [], []], POINTS[:1], POINTS[:1], slimming, POINTS)
        assert sum(name.startswith("axes_") for name in _groups(svg)) == 2


def test_samples_far_outside_are_drawn_at_the_edge():
    rows = {"AM": (-17, -16, -5, 0, 5, 16, 17), "FM": (-1, -1, -0.7, 0, 0.7, 1, 1)}
    svg = sample_spread("spread", {30: rows, -20: rows}, (-2, 3), widest=9)
    assert sum(name.startswith("axes_") for name in _groups(svg)) == 2


def test_panels_are_as_many_as_their_titles():
    with panels(8, 3, ["a", "b", "c"]) as (figure, made):
        assert len(made) == len(figure.axes) == 3
        assert [axes.get_title(loc="left") for axes in made] == ["a", "b", "c"]
