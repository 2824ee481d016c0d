"""The 24 modulations of RadioML 2018.01A in the corrected label order, and its 26 SNR labels.

The ``classes.txt`` shipped with the data set lists the classes in another order than the labels use. The order here
is the corrected one (OOK first) that the 2021 ITU challenge and every later work use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from bacalhaunet.radio.class_set import ClassSet

FRAME_LENGTH = 1024
"""Complex samples of a frame."""

SAMPLES_PER_SYMBOL = 8
"""Complex samples of a symbol in every digital class."""

SNRS_DB: tuple[int, ...] = tuple(range(-20, 31, 2))
"""The 26 SNR labels in dB, ascending. What a label means physically is defined in ``radio.channel``."""


class Family(Enum):
    """Kinds of modulation that share a waveform generator."""

    ASK = "amplitude-shift keying"
    PSK = "phase-shift keying"
    APSK = "amplitude and phase-shift keying"
    QAM = "quadrature amplitude modulation"
    AM = "analog amplitude modulation"
    FM = "analog frequency modulation"
    CPM = "continuous-phase modulation"


@dataclass(frozen=True)
class Modulation:
    """One class.

    Attributes:
        label: Position in the corrected order, 0 to 23 for RadioML's; the class number in its files.
        name: The name in the field's usual spelling.
        family: The kind of modulation.
        order: Number of constellation points; None for the analog classes.
    """

    label: int
    name: str
    family: Family
    order: int | None = None


_TABLE: tuple[tuple[str, Family, int | None], ...] = (
    ("OOK", Family.ASK, 2),
    ("4ASK", Family.ASK, 4),
    ("8ASK", Family.ASK, 8),
    ("BPSK", Family.PSK, 2),
    ("QPSK", Family.PSK, 4),
    ("8PSK", Family.PSK, 8),
    ("16PSK", Family.PSK, 16),
    ("32PSK", Family.PSK, 32),
    ("16APSK", Family.APSK, 16),
    ("32APSK", Family.APSK, 32),
    ("64APSK", Family.APSK, 64),
    ("128APSK", Family.APSK, 128),
    ("16QAM", Family.QAM, 16),
    ("32QAM", Family.QAM, 32),
    ("64QAM", Family.QAM, 64),
    ("128QAM", Family.QAM, 128),
    ("256QAM", Family.QAM, 256),
    ("AM-SSB-WC", Family.AM, None),
    ("AM-SSB-SC", Family.AM, None),
    ("AM-DSB-WC", Family.AM, None),
    ("AM-DSB-SC", Family.AM, None),
    ("FM", Family.FM, None),
    ("GMSK", Family.CPM, 2),
    ("OQPSK", Family.PSK, 4),
)

MODULATIONS: tuple[Modulation, ...] = tuple(
    Modulation(label, name, family, order) for label, (name, family, order) in enumerate(_TABLE)
)
"""The modulations, those of RadioML first; ``MODULATIONS[k].label == k``."""

_GROUPS: dict[str, tuple[str, ...]] = {
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
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}

RADIOML = ClassSet(
    tuple(name for name, _, _ in _TABLE if name in _GROUP_OF),
    tuple(_GROUP_OF[name] for name, _, _ in _TABLE if name in _GROUP_OF),
)
"""The 24 classes of RadioML 2018.01A by label; a row more in the table above is none of them.

The groups follow the confusions of networks on frames of the twin: nearly all errors from +2 dB up stay inside one.
"""

NAMES: tuple[str, ...] = RADIOML.names
"""Names of the 24 by label."""


def classes_named(names: Sequence[str], group_of: Sequence[str] = ()) -> ClassSet:
    """Return classes with the groups of RadioML's where these have the same names, if none are passed.

    >>> classes_named(["QPSK", "LoRa"]).group_of
    ('PSK', 'LoRa')
    """
    return ClassSet(tuple(names), tuple(group_of) or tuple(_GROUP_OF.get(name, name) for name in names))


def by_name(name: str) -> Modulation:
    """Return the modulation called ``name``.

    Raises:
        KeyError: If no modulation has that name; the message lists those that exist.
    """
    for modulation in MODULATIONS:
        if modulation.name == name:
            return modulation
    raise KeyError(f"no modulation is called {name!r}; there are {', '.join(NAMES)}")
