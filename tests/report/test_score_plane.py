import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.text import Text

from bacalhaunet.report import published
from bacalhaunet.report.score_plane import PlanePoint, place_labels, score_plane_figure
from bacalhaunet.report.style import new_figure


def boxes(axes):
    """Corners of the labels as they are drawn, in pixels, without the lines that lead to them."""
    renderer = axes.figure.canvas.get_renderer() if hasattr(axes.figure.canvas, "get_renderer") else None
    return [np.array(Text.get_window_extent(text, renderer)) for text in axes.texts]


def test_labels_of_figure_4a_cover_neither_each_other_nor_points():
    points = [(p.label, p.score, 100 * p.accuracy) for p in published.figure_4a()]
    points = [(label.removeprefix("figure4a-"), x, y) for label, x, y in points]
    with new_figure(4.6, 4.0) as (figure, axes):
        axes.set(xlim=(0.7, 1.25), ylim=(55.5, 58.9))
        place_labels(axes, points)
        figure.draw_without_rendering()
        drawn = boxes(axes)
        spots = axes.transData.transform([(x, y) for _, x, y in points])
    assert len(drawn) == 13
    for one, other in itertools.combinations(drawn, 2):
        assert not (np.minimum(one[1], other[1]) > np.maximum(one[0], other[0])).all()
    for box in drawn:
        assert not ((spots > box[0]) & (spots < box[1])).all(axis=1).any()


def test_a_label_leaves_the_line_it_would_cross():
    line = [(0.0, 0.0), (1.0, 1.0)]
    with new_figure(4, 4) as (figure, axes):
        axes.set(xlim=(-0.2, 1.2), ylim=(-0.2, 1.2))
        place_labels(axes, [("middle", 0.5, 0.5)], [line])
        figure.draw_without_rendering()
        [box] = boxes(axes)
        along = axes.transData.transform([(t, t) for t in np.linspace(0, 1, 200)])
    assert not ((along > box[0]) & (along < box[1])).all(axis=1).any()


def test_a_label_stands_nearer_to_its_own_point_than_to_any_other():
    points = [("one", 0.0, 0.0), ("two", 0.25, 0.06), ("three", -0.3, 0.08)]
    with new_figure(4, 4) as (figure, axes):
        axes.set(xlim=(-1, 1), ylim=(-1, 1))
        place_labels(axes, points)
        figure.draw_without_rendering()
        spots = axes.transData.transform([(x, y) for _, x, y in points])
        for number, box in enumerate(boxes(axes)):
            outside = np.maximum(np.maximum(box[0] - spots, spots - box[1]), 0)
            assert np.hypot(*outside.T).argmin() == number


def test_a_label_that_finds_no_room_is_left_out_if_it_may_be():
    crowd = [[(x, y)] for x in np.linspace(-1, 1, 60) for y in np.linspace(-1, 1, 60)]
    for optional, count in ((False, 1), (True, 0)):
        with new_figure(4, 4) as (_, axes):
            axes.set(xlim=(-1, 1), ylim=(-1, 1))
            place_labels(axes, [("middle", 0.0, 0.0)], crowd, optional=optional)
            assert len(axes.texts) == count


@pytest.mark.parametrize("accuracies", [(0.589, 0.581, 0.577, 0.568, 0.562), (0.58, 0.575, 0.57, 0.565, 0.56)])
def test_no_text_of_the_plane_covers_another(accuracies):
    scores = (0.98, 0.062, 0.0272, 0.0195, 0.0171)
    path = [
        PlanePoint(f"step number {n}", s, a, (a - 0.006, a + 0.006))
        for n, (s, a) in enumerate(zip(scores, accuracies, strict=True))
    ]
    figure = score_plane_figure(path)
    figure.draw_without_rendering()
    drawn = boxes(figure.axes[0])
    assert len(drawn) > 8
    for one, other in itertools.combinations(drawn, 2):
        assert not (np.minimum(one[1], other[1]) > np.maximum(one[0], other[0])).all()
