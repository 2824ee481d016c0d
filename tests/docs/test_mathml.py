"""Formulas become MathML while the site is built, and everything else stays as it is."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("latex2mathml", reason="needs the package latex2mathml of the docs extra")


@pytest.fixture(scope="module")
def hook():
    path = Path(__file__).parents[2] / "docs" / "hooks" / "mathml.py"
    spec = importlib.util.spec_from_file_location("mathml", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.on_page_content


def test_a_page_without_formulas_stays_as_it_is(hook):
    page = '<p>costs $5 <span class="other">\\(x\\)</span></p>'
    assert hook(page, page=None, config=None, files=None) == page


def test_inline_and_displayed_formulas_become_mathml(hook):
    page = '<p><span class="arithmatex">\\(x &lt; y\\)</span></p><div class="arithmatex">\\[\\frac{1}{2}\\]</div>'
    found = ElementTree.fromstring(f"<body>{hook(page)}</body>")
    formulas = [element for element in found.iter() if element.tag.endswith("}math")]
    assert [formula.get("display") for formula in formulas] == ["inline", "block"]
    assert "arithmatex" not in hook(page)
    assert "".join(formulas[0].itertext()) == "x<y"


def test_escaped_underscores_are_underscores(hook):
    assert ">bit_ops<" in hook('<span class="arithmatex">\\(\\text{bit\\_ops}\\)</span>')
