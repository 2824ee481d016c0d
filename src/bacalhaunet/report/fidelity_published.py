"""What is published of the real data, for comparison with the twin; the figures are in ``fidelity_published.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from bacalhaunet.radio.modulations import SNRS_DB


@dataclass(frozen=True)
class PublishedNetwork:
    """Accuracy of a network on the real data.

    Attributes:
        name: What it is.
        source: Where the figures come from.
        accuracy: Mean over all classes and SNR labels.
        accuracy_by_snr: By SNR label in dB, or empty.
        confusion: By SNR label in dB: 24 rows of shares, or empty.
    """

    name: str
    source: str
    accuracy: float
    accuracy_by_snr: dict[int, float]
    confusion: dict[int, list[list[float]]]


@cache
def figures() -> dict[str, Any]:
    """Return everything in the file."""
    text = files(__package__).joinpath("fidelity_published.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def published_network(file: str) -> PublishedNetwork | None:
    """Return the figures of the network in ``file``, recognised by the file's name, or None."""
    stem = Path(file).stem.lower()
    for entry in figures()["networks"].values():
        if any(part in stem for part in entry["match"]):
            return PublishedNetwork(
                entry["name"],
                entry["source"],
                entry["accuracy"],
                dict(zip(SNRS_DB, entry.get("accuracy_by_snr", []), strict=False)),
                {int(snr): rows for snr, rows in entry.get("confusion", {}).items()},
            )
    return None
