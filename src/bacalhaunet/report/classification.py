"""A classified recording as the report shows it: the answer, the runners-up, the facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bacalhaunet.report import wording

_ANSWER = {"label", "confidence", "agreement", "probabilities"}
"""Fields of the summary that the answer shows; the others are facts."""


@dataclass(frozen=True)
class ClassificationView:
    """What the page says about a recording.

    Attributes:
        answer: The named modulation with its confidence, as a sentence; empty where the record has none.
        bars: The most probable modulations with their probability, largest first.
        facts: Everything else as rows of name and text.
    """

    answer: str
    bars: tuple[tuple[str, float], ...]
    facts: tuple[tuple[str, str], ...]


def view_classification(values: Mapping[str, Any], most: int = 5) -> ClassificationView | None:
    """Return the view of what ``classify --json`` prints, or of its ``summary`` alone; None where there is nothing.

    Args:
        values: The object.
        most: Number of bars.
    """
    if not values:
        return None
    summary = values.get("summary", values)
    if not isinstance(summary, Mapping):
        summary = {"summary": summary}
    found = summary.get("probabilities")
    shares = {str(k): float(v) for k, v in found.items() if _is_share(v)} if isinstance(found, Mapping) else {}
    bars = sorted(shares.items(), key=lambda item: -item[1])[:most]
    rest = {key: value for key, value in summary.items() if key not in _ANSWER or (key == "probabilities" and not bars)}
    return ClassificationView(_answer(summary), tuple(bars), tuple(flat_items(rest)))


def flat_items(values: Mapping[str, Any], prefix: str = "", longest: int = 24) -> list[tuple[str, str]]:
    """Return nested values as rows of name and text; of a long list the first ``longest`` and how many follow."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += flat_items(value, f"{name}, ", longest)
        elif isinstance(value, (list, tuple)):
            shown = ", ".join(_short(item) for item in value[:longest])
            more = f" and {len(value) - longest} more" if len(value) > longest else ""
            rows.append((name, shown + more or wording.MISSING))
        else:
            rows.append((name, _short(value)))
    return rows


def _answer(summary: Mapping[str, Any]) -> str:
    if "label" not in summary:
        return ""
    label = summary["label"]
    if label is None:
        return "No modulation was named: every frame is silent."
    answer = f"The recording is named {label}"
    if _is_share(summary.get("confidence")):
        answer += f", with a confidence of {wording.percent(summary['confidence'], 1)}"
    if _is_share(summary.get("agreement")):
        answer += f"; {wording.percent(summary['agreement'], 1)} of its frames say so one by one"
    return answer + "."


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    return wording.MISSING if value is None else str(value)
