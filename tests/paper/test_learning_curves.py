import json

import pytest

pytest.importorskip("matplotlib")

from bacalhaunet.errors import ConfigError
from bacalhaunet_paper.network_pages import Curve, curve_of_run, learning_curves, own_part
from bacalhaunet_paper.network_pages import draw_curves as main


def test_every_curve_is_named_in_its_colour():
    figure = learning_curves([Curve("one", [(0, 0.04), (1000, 0.3)]), Curve("two", [(2000, 0.4), (60_000_000, 0.6)])])
    [axes] = figure.axes
    texts = {text.get_text(): text.get_color() for text in axes.texts}
    assert texts["one"] == axes.lines[0].get_color()
    assert texts["two"] == axes.lines[1].get_color()
    assert "the paper's" in texts
    assert axes.lines[0].get_xydata().tolist() == [[0.001, 30.0]]  # a logarithmic axis has no place for 0 frames


def test_a_run_that_is_going_on_has_the_validations_it_has(tmp_path):
    points = [{"frames": 10, "seconds": 1.0, "validation_accuracy": 0.1}]
    (tmp_path / "curve.json").write_text(json.dumps(points))
    assert curve_of_run("a", tmp_path) == Curve("a", [(10, 0.1)])
    main([str(tmp_path / "out.svg"), f"a={tmp_path}"])
    assert "<svg" in (tmp_path / "out.svg").read_text()
    with pytest.raises(ConfigError, match="no learning curve"):
        curve_of_run("b", tmp_path / "none")


def test_training_that_two_networks_share_is_drawn_once():
    first, later = Curve("a", [(1, 0.1), (2, 0.2)]), Curve("b", [(1, 0.1), (2, 0.2), (3, 0.3)])
    assert own_part(later, [first]) == [(2, 0.2), (3, 0.3)]  # from where the two part
    assert own_part(later, [Curve("c", [(1, 0.4)])]) == later.points
    assert own_part(first, []) == first.points
