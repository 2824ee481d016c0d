"""Numbers as people read them: percent, intervals, scores, counts and durations.

Tables in Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence

THIN_SPACE = "\u202f"
MISSING = "–"


def percent(share: float | None, digits: int = 2) -> str:
    """Return a share of 0 to 1 as percent: 0.5624 is "56.24 %"."""
    return MISSING if share is None else f"{100 * share:.{digits}f}{THIN_SPACE}%"


def interval(bounds: tuple[float, float] | None, digits: int = 2) -> str:
    """Return an interval of shares as percent: (0.56, 0.57) is "56.00 to 57.00 %"."""
    if bounds is None:
        return MISSING
    return f"{100 * bounds[0]:.{digits}f} to {100 * bounds[1]:.{digits}f}{THIN_SPACE}%"


def short_interval(bounds: tuple[float, float] | None) -> str:
    """Return an interval of shares in per cent for a narrow column: (0.56, 0.57) is "56.00–57.00"."""
    return MISSING if bounds is None else f"{100 * bounds[0]:.2f}{MISSING}{100 * bounds[1]:.2f}"


def score(value: float | None) -> str:
    """Return a score with up to five digits that count, as they were published: 0.016211, 1.4155, 0.0735."""
    return MISSING if value is None else f"{value:.5g}"


def count(value: float | None) -> str:
    """Return a whole number with thin spaces between thousands."""
    return MISSING if value is None else f"{value:,.0f}".replace(",", THIN_SPACE)


def setting(value: float | None) -> str:
    """Return a small setting such as λ or ε, short: 0.0001 is "1e-4"."""
    if value is None:
        return MISSING
    if value != 0 and abs(value) < 1e-2:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:g}"


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: 3725 s is "1 h 2 min"."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.0f}{THIN_SPACE}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes}{THIN_SPACE}min"
    return f"{minutes // 60}{THIN_SPACE}h {minutes % 60}{THIN_SPACE}min"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, an empty line after it included."""
    lines = [
        " | ".join(columns),
        " | ".join(["---"] * len(columns)),
        *(" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows),
    ]
    return [*(f"| {line} |" for line in lines), ""]
