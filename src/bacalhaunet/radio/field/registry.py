"""The transmitters of the field profile, by the modulations they make."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.field.noise import NOISE_NAME
from bacalhaunet.radio.field.transmitter import Transmitter
from bacalhaunet.radio.modulations import NAMES

TRANSMITTERS: tuple[str, ...] = (
    "bacalhaunet.radio.field.linear:Linear",
    "bacalhaunet.radio.field.gmsk:GMSK",
    "bacalhaunet.radio.field.analog:DoubleSideband",
    "bacalhaunet.radio.field.analog:SingleSideband",
    "bacalhaunet.radio.field.analog:FrequencyModulation",
    "bacalhaunet.radio.field.noise:Noise",
)
"""Module and class of each transmitter; a modulation more is a row here. The order says nothing."""

_FIRST_NUMBERS = {name: number for number, name in enumerate((*NAMES, NOISE_NAME))}


def transmitters() -> dict[str, type[Transmitter]]:
    """The transmitter of each modulation on offer.

    >>> "OQPSK" in transmitters(), transmitters()["GMSK"].modulations
    (True, {'GMSK': 'GMSK'})
    """
    return {name: kind for row in TRANSMITTERS for kind in (_load(row),) for name in kind.modulations}


@lru_cache
def _load(row: str) -> type[Transmitter]:
    module, name = row.split(":")
    kind: type[Transmitter] = getattr(import_module(module), name)
    return kind


def field_classes(names: Sequence[str]) -> ClassSet:
    """Modulations with their groups.

    Raises:
        ConfigError: If there is no transmitter of one, or a name comes twice.

    >>> field_classes(["QPSK", "GMSK", "noise"]).group_of
    ('PSK', 'GMSK', 'noise')
    """
    offered = transmitters()
    for name in names:
        if name not in offered:
            raise ConfigError(f"no modulation is called {name!r}", where="field.classes", allowed=", ".join(offered))
    return ClassSet(tuple(names), tuple(offered[name].modulations[name] for name in names))


def stream_number(name: str) -> int:
    """The number of a modulation that names its random numbers, whatever class set it is in.

    RadioML's 24 have their labels and noise has 24; the others have 2^31 and half the CRC-32 of their name, so that
    no modulation's frames change when another is added.

    >>> stream_number("OOK"), stream_number("noise"), stream_number("4FSK") >= 2**31
    (0, 24, True)
    """
    number = _FIRST_NUMBERS.get(name)
    return (1 << 31) + (zlib.crc32(name.encode()) >> 1) if number is None else number
