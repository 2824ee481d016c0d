"""How help texts are laid out."""

from __future__ import annotations

from jsonargparse import DefaultHelpFormatter


class KeepLines(DefaultHelpFormatter):
    """jsonargparse's layout, which shows types and defaults, with the line breaks of examples kept."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        return "".join(indent + line for line in text.splitlines(keepends=True))
