"""The page of the documents says what the results say."""

import pytest

from bacalhaunet.errors import ConfigError
from bacalhaunet_paper.network_table import NetworkRow, Result
from bacalhaunet_paper.registry import write_page


def write(folder, name, title):
    row = NetworkRow("a network", 0.0735, 0.5762, (0.57, 0.58), 255_840)
    facts = {"budget": "cpu", "data": "frames of the twin, generated"}
    Result(name, title, facts, [row], ["First."]).write(folder, f"<svg>{name}</svg>")


def test_results_are_sections_in_the_order_of_the_report_with_their_pictures(tmp_path):
    write(tmp_path / "run", "figure4", "Figure 4")
    write(tmp_path / "run", "table3", "Table 3")
    page = write_page(tmp_path / "run", tmp_path / "docs").read_text()
    assert page.count("\n# ") + page.startswith("# ") == 1
    assert page.index("## Table 3") < page.index("### Protocol") < page.index("## Figure 4")
    assert "--budget cpu" in page
    assert "57.00–58.00" in page
    assert "](../images/reproduced/table3.svg)" in page
    assert (tmp_path / "docs" / "images" / "reproduced" / "figure4.svg").read_text() == "<svg>figure4</svg>"


def test_a_folder_without_results_is_no_page(tmp_path):
    with pytest.raises(ConfigError, match="no table or figure"):
        write_page(tmp_path, tmp_path / "docs")
    assert not (tmp_path / "docs").exists()
