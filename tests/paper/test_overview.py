"""The picture of the package: made of a frame, the network's cost and the published points, the same every time."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from bacalhaunet.cost.of import cost_of
from bacalhaunet_paper.network_pages import draw_overview as main
from bacalhaunet_paper.network_pages import overview, run_points


def test_the_bars_are_the_bit_operations_of_the_network():
    axes = overview().axes[1]
    bars = [bar.get_width() * 1e6 for bar in axes.patches]
    assert [round(bar) for bar in bars] == [layer.bit_ops for layer in cost_of("bacalhaunet", bits=6).layers]


def test_a_run_adds_its_path(synthetic_run):
    titles = [step.title for step in synthetic_run.record.steps]
    assert [point.label for point in run_points(synthetic_run.folder)] == titles
    texts = {text.get_text() for text in overview(synthetic_run.folder).axes[2].texts}
    assert set(titles) <= texts


def test_the_command_writes_one_whole_svg(tmp_path, capsys):
    main([str(tmp_path / "a.svg")])
    main([str(tmp_path / "b.svg")])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
