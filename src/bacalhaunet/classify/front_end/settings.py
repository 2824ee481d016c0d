"""What is found in a capture, and what the user said instead.

scipy, which the front end needs and the core install lacks.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from bacalhaunet.errors import ConfigError, MissingExtraError, how_to_install


@dataclass(frozen=True)
class FrontEndSettings:
    """What is set by hand; everything left None is estimated. Frequencies are in cycles a sample, -0.5 to 0.5.

    Attributes:
        detect: Look for signals. False: the whole capture is one signal, at ``center``, or about zero frequency.
        center: Centre of the one signal; not together with ``detect``.
        bandwidth: Width of the band of every signal.
        symbol_rate: Symbols a sample of every signal, up to 0.5.
    """

    detect: bool = True
    center: float | None = None
    bandwidth: float | None = None
    symbol_rate: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges; NaN fails every check."""
        _check("the centre frequency", self.center, -0.5, 0.5)
        _check("the bandwidth", self.bandwidth, 1e-5, 1.0)
        _check("the symbol rate", self.symbol_rate, 1e-5, 0.5)
        if self.detect and self.center is not None:
            raise ConfigError(
                "a centre frequency is set by hand and signals are to be looked for",
                allowed="one of the two",
                action="leave out --center, or --detect",
            )
        if not self.detect and self.bandwidth is None and self.symbol_rate is None:
            raise ConfigError(
                "without detection nothing says how wide the signal is",
                allowed="a symbol rate, a bandwidth, or both",
                action="pass --symbol-rate or --bandwidth",
            )


def _check(what: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise ConfigError(f"{what} is {value:g} cycles a sample", allowed=f"{low:g} to {high:g} times the sample rate")


def scipy_module(name: str) -> Any:
    """Return ``scipy.<name>``.

    Raises:
        MissingExtraError: If scipy is not installed.
    """
    try:
        return importlib.import_module(f"scipy.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"finding signals needs the package scipy: {how_to_install('recordings')}") from error
