"""Markdown for people and JSON for programs say the same."""

import json

from bacalhaunet_paper.network_table import NetworkRow, Result, table


def result():
    rows = [
        NetworkRow("a|b", 0.0735, 0.5762, (0.57, 0.58), 255_840, 0.58, 46_000_000, 0.5762, 0.0735, "a note"),
        NetworkRow("unmeasured", 1.4155),
    ]
    return Result("table9", "Table 9", {"budget": "tiny"}, rows, ["First."], {"more": [1]}, [("Other", ["x"], [["1"]])])


def test_the_markdown_has_ours_beside_the_paper_s_with_interval_and_protocol():
    text = result().markdown()
    assert "| a\\|b | 57.62 | 57.00–58.00 | 57.62 | 0.0735 | 0.0735 | 58.00 |" in text
    assert "| unmeasured | – | – | – | 1.4155 | – | – | – |  |" in text
    assert "- First." in text
    assert "## Other" in text
    assert "| budget | tiny |" in text
    assert "| test frames of each network | 255,840 |" in text
    assert "![Table 9](table9.svg)" in text


def test_every_row_of_a_table_has_as_many_cells_as_its_heading():
    lines = table(("a", "b"), [("1", "2"), ("3", "4")])
    assert {line.count("|") for line in lines[:-1]} == {3}


def test_the_three_files_are_written_and_the_json_is_what_the_result_says(tmp_path):
    path = result().write(tmp_path, "<svg/>")
    assert path == tmp_path / "table9.md"
    assert (tmp_path / "table9.svg").read_text() == "<svg/>"
    found = json.loads((tmp_path / "table9.json").read_text())
    assert found["rows"][0]["interval"] == [0.57, 0.58]
    assert found["more"] == [1]
    assert found["protocol"] == {"budget": "tiny"}
