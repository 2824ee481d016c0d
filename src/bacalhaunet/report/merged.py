r"""The coarser answer of a card: classes that a network cannot tell apart where high SNRs begin count as one.

.. math:: \text{merge } i, j \quad\text{if}\quad \frac{c_{ij} + c_{ji}}{c_{ii} + c_{jj} + c_{ij} + c_{ji}} > \frac13

over validation frames of 10 and 12 dB, with `c_{ij}` frames of class i named j: of the frames of either class that are
named one of the two, a coin would name half wrong. An answer that is to hold from 10 dB on must hold there, and
averages up to 30 dB hide classes that are told apart only far above. What is merged with the same class is merged.
The accuracy from 10 dB on with and without it is then that of the test frames. Coarser still are the groups that
every answer names beside its class (``radio.class_set``), the same for every network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bacalhaunet.data.evaluation import Evaluation, wilson_interval
from bacalhaunet.radio.modulations import classes_named

FROM_DB = 10
"""Smallest SNR label that counts as high."""

LOWEST_DB = (10, 12)
"""SNR labels at which classes must be told apart; two of them, so that there are frames enough."""

SHARE = 1 / 3
"""Share of wrong names among the frames of two classes that are named one of the two, above which they are merged."""


def confused(validation: Evaluation) -> list[tuple[str, ...]]:
    """Return the groups of two and more classes that cannot be told apart, from validation frames."""
    table = validation.counts[[snr in LOWEST_DB for snr in validation.snrs_db]].sum(axis=0)
    right = np.diag(table)
    group = list(range(len(table)))
    for i in range(len(table)):
        for j in range(i):
            wrong = table[i, j] + table[j, i]
            if wrong > SHARE * (right[i] + right[j] + wrong):
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
    groups = np.array(classes_named(card["labels"]).group_of)
    same = groups[:, None] == groups
    return int(table[same].sum()), int(table.sum())


def _high(evaluation: Evaluation) -> Any:
    return evaluation.counts[[snr >= FROM_DB for snr in evaluation.snrs_db]]
