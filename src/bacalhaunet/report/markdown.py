"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, an empty line after it included."""
    lines = [
        " | ".join(columns),
        " | ".join(["---"] * len(columns)),
        *(" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows),
    ]
    return [*(f"| {line} |" for line in lines), ""]
