"""The 24 modulations of RadioML 2018.01A in the corrected label order, and its 26 SNR labels.

The ``classes.txt`` shipped with the data set lists the classes in another order than the labels use. The order here
is the corrected one (OOK first) that the 2021 ITU challenge and every later work use.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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
        label: Position in the corrected order, 0 to 23; the class number of every network and file.
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
"""The 24 modulations; ``MODULATIONS[k].label == k``."""

NAMES: tuple[str, ...] = tuple(modulation.name for modulation in MODULATIONS)
"""Class names by label."""


def by_name(name: str) -> Modulation:
    """Return the modulation called ``name``.

    Raises:
        KeyError: If no modulation has that name; the message lists those that exist.
    """
    for modulation in MODULATIONS:
        if modulation.name == name:
            return modulation
    raise KeyError(f"no modulation is called {name!r}; there are {', '.join(NAMES)}")
