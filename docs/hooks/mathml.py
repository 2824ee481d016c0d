"""Turns the formulas of a page into MathML while the site is built, so that no script has to come from elsewhere."""

from __future__ import annotations

import html as entities
import re
from typing import Any

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_page_content(html: str, **_: Any) -> str:
    """Replace the formulas that ``pymdownx.arithmatex`` marked. Called by MkDocs for each page."""
    return _FORMULA.sub(_mathml, html)


def _mathml(match: re.Match[str]) -> str:
    # Escaped underscores stand inside \text only, where the converter expects plain ones.
    latex = entities.unescape(match[3]).replace(r"\_", "_")
    display = "block" if match[2] == "[" else "inline"
    return f"<{match[1]}>{convert(latex, display=display)}</{match[1]}>"
