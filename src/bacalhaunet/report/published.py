"""Figures published for RadioML 2018.01A and challenge PS-007, with their sources, for comparison.

The figures lie in ``published.json`` beside this module. Every accuracy is the mean over all 24 modulations and all
26 SNR labels of the prescribed test split of the real data, unless its note says otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class PublishedPoint:
    """One published network in the accuracy-score plane.

    Attributes:
        label: What it is, in a few words.
        accuracy: Share of test frames classified correctly, 0 to 1.
        score: The challenge's inference cost score; 1 is the 8-bit VGG10 baseline.
        source: Where it was published.
        note: What a reader must know to compare with it; or empty.
    """

    label: str
    accuracy: float
    score: float
    source: str
    note: str = ""


@dataclass(frozen=True)
class PublishedStep(PublishedPoint):
    """One step of the report's selected path: λ is ``weight_decay``, ε ``min_abs_weight`` (None: no pruning)."""

    weight_decay: float = 0.0
    min_abs_weight: float | None = None


@dataclass(frozen=True)
class PublishedArchitecture(PublishedPoint):
    """One row of figure 4a: the first four blocks' kernel lengths, strides and output channels."""

    kernels: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Baseline:
    """The challenge's constants.

    Attributes:
        bit_ops: Bit operations of the 8-bit VGG10, which count as 1.
        bit_mem: Bits of its weights, which count as 1.
        accuracy_at_least: Accuracy an entry had to reach.
    """

    bit_ops: int
    bit_mem: int
    accuracy_at_least: float


@cache
def figures() -> dict[str, Any]:
    """Return everything in ``published.json``."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath("published.json").read_text(encoding="utf-8"))
    return found


def baseline() -> Baseline:
    """Return the challenge's constants."""
    found = figures()["baseline"]
    return Baseline(found["bit_ops"], found["bit_mem"], found["accuracy_at_least"])


def table_3() -> tuple[PublishedPoint, ...]:
    """Return BacalhauNet in float and at 8 to 5 bits, before pruning (the report's table 3)."""
    return _points("table_3", "BacalhauNet, {representation}")


def pruning_steps() -> tuple[PublishedStep, ...]:
    """Return the four steps of the report's selected path: training at 6 bits, then three prunings (figure 5)."""
    part = figures()["pruning_steps"]
    return tuple(
        PublishedStep(
            label=row["step"],
            accuracy=row["accuracy"],
            score=row["score"],
            source=part["source"],
            weight_decay=row["weight_decay"],
            min_abs_weight=row["min_abs_weight"],
        )
        for row in part["points"]
    )


def figure_4a() -> tuple[PublishedArchitecture, ...]:
    """Return the 13 architectures of figure 4a in the report's order, in float."""
    part = figures()["figure_4a"]
    return tuple(
        PublishedArchitecture(
            label=f"figure4a-{number:02d}",
            accuracy=row["accuracy"],
            score=row["score"],
            source=part["source"],
            kernels=tuple(row["kernels"]),
            strides=tuple(row["strides"]),
            channels=tuple(row["channels"]),
        )
        for number, row in enumerate(part["points"], start=1)
    )


def earlier_models() -> tuple[PublishedPoint, ...]:
    """Return the report's initial experiments."""
    return _points("earlier_models", "{model}, {representation}")


def networks() -> tuple[PublishedPoint, ...]:
    """Return the three published networks whose files are known: the baseline, the winner and AaronNet32."""
    return _points("networks", "{model}")


def other_entries() -> tuple[PublishedPoint, ...]:
    """Return other teams' published results."""
    return _points("other_entries", "{model}")


def winner() -> PublishedPoint:
    """Return the network that won: BacalhauNet at 6 bits, pruned three times."""
    return networks()[1]


def accuracy_by_snr(network: str) -> dict[int, float]:
    """Return the published accuracy at each SNR label in dB of ``VGG10`` or ``AaronNet32`` on the real data.

    Read from published plots to about 0.003.
    """
    return {int(snr): float(value) for snr, value in figures()["accuracy_by_snr"][network].items()}


def _points(part: str, label: str) -> tuple[PublishedPoint, ...]:
    found = figures()[part]
    return tuple(
        PublishedPoint(label.format(**row), row["accuracy"], row["score"], found["source"], row.get("note", ""))
        for row in found["points"]
    )
