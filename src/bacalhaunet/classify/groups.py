r"""The coarser answer: groups of classes that are easily taken for each other.

.. math:: P_g = \sum_{k \in g} P_k

At low SNR, or among large constellations, the class is a guess where its group is sure. The groups follow the
confusions of networks on frames of the twin: nearly all errors from +2 dB up stay inside one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

GROUPS: dict[str, tuple[str, ...]] = {
    "ASK": ("OOK", "4ASK", "8ASK"),
    "PSK": ("BPSK", "QPSK", "8PSK", "16PSK", "32PSK", "OQPSK"),
    "QAM/APSK": (
        *("16APSK", "32APSK", "64APSK", "128APSK"),
        *("16QAM", "32QAM", "64QAM", "128QAM", "256QAM"),
    ),
    "AM": ("AM-DSB-WC", "AM-DSB-SC"),
    "SSB": ("AM-SSB-WC", "AM-SSB-SC"),
    "FM": ("FM",),
    "GMSK": ("GMSK",),
}
"""Names of the classes in each group; together the 24 of RadioML 2018.01A."""

NOISE = "noise"
"""Name of the class of networks that know frames without a signal (``radio.field.noise.NOISE_NAME``)."""

_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


def group_of(label: str) -> str:
    """Return the group of a class; a class of no group is its own."""
    return _GROUP_OF.get(label, label)


def group_numbers(labels: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the groups of some classes, in order of their first class, and the number of the group of each class."""
    names = tuple(dict.fromkeys(group_of(label) for label in labels))
    return names, tuple(names.index(group_of(label)) for label in labels)


def group_probabilities(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Return the probability of each group, largest first."""
    sums: dict[str, float] = {}
    for label, value in probabilities.items():
        sums[group_of(label)] = sums.get(group_of(label), 0.0) + value
    return dict(sorted(sums.items(), key=lambda item: -item[1]))
