r"""The coarser answer of a card: classes that a network takes for each other at high SNR count as one.

.. math:: \text{merge } i, j \quad\text{if}\quad \frac{c_{ij} + c_{ji}}{n_i + n_j} > 0.1

over validation frames of 10 dB and more, with `c_{ij}` frames of class i named j and `n_i` frames of class i. What is
merged with the same class is merged. The accuracy with and without it is then that of the test frames. Coarser still
are the groups that every answer names beside its class (``classify.groups``), the same for every network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bacalhaunet.classify.evaluation import Evaluation, wilson_interval
from bacalhaunet.classify.groups import group_numbers

FROM_DB = 10
"""Smallest SNR label that counts as high."""

SHARE = 0.1
"""Share of two classes' frames taken for the other one, above which the two are merged."""


def confused(validation: Evaluation) -> list[tuple[str, ...]]:
    """Return the groups of two and more classes that cannot be told apart, from validation frames."""
    table = _high(validation).sum(axis=0)
    frames = table.sum(axis=1)
    group = list(range(len(table)))
    for i in range(len(table)):
        for j in range(i):
            if table[i, j] + table[j, i] > SHARE * (frames[i] + frames[j]):
                group = [group[i] if number == group[j] else number for number in group]
    names = [tuple(n for n, g in zip(validation.names, group, strict=True) if g == number) for number in set(group)]
    return sorted(members for members in names if len(members) > 1)


def high_snr_part(test: Evaluation, groups: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the accuracy from 10 dB on: of all classes, and with some of them merged.

    Args:
        test: Test frames.
        groups: Classes that count as one.
    """
    table = _high(test).sum(axis=0)
    frames, right = int(table.sum()), int(np.trace(table))
    merged = right
    for members in groups:
        places = [test.names.index(name) for name in members]
        block = table[np.ix_(places, places)]
        merged += int(block.sum() - np.trace(block))
    return {
        "from_db": FROM_DB,
        "frames": frames,
        "accuracy": right / frames,
        "interval": list(wilson_interval(right, frames)),
        "merged": [list(members) for members in groups],
        "merged_accuracy": merged / frames,
        "merged_interval": list(wilson_interval(merged, frames)),
    }


def group_counts(card: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many test frames of a card from 10 dB on are named with the right group, and how many there are."""
    table = np.sum([rows for snr, rows in card["confusion"].items() if int(snr) >= FROM_DB], axis=0)
    numbers = np.array(group_numbers(card["labels"])[1])
    same = numbers[:, None] == numbers
    return int(table[same].sum()), int(table.sum())


def _high(evaluation: Evaluation) -> Any:
    return evaluation.counts[[snr >= FROM_DB for snr in evaluation.snrs_db]]
