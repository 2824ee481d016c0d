"""One version wherever one is written, so that a tag finds all of them right."""

from pathlib import Path

import yaml

from bacalhaunet import __version__

ROOT = Path(__file__).parents[2]


def test_the_changelog_has_a_dated_section_of_the_version_below_what_is_not_released():
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0] == "## Unreleased"
    assert headings[1].startswith(f"## {__version__} - 20")


def test_the_citation_is_of_the_version_and_its_day():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f"## {__version__} - {citation['date-released']}" in (ROOT / "CHANGELOG.md").read_text()
