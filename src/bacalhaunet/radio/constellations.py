"""Constellations of the digital classes, as RadioML 2018.01A has them.

Every constellation is scaled to mean amplitude one, mean |c| = 1, for definiteness: the channel divides the shaped
block by its own mean amplitude, so the scale here does not reach the frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.complex128]


def ask(order: int) -> Points:
    """Unipolar amplitudes 0 .. order - 1 [A]: a large mean, as OOK has."""
    return np.arange(order).astype(np.complex128)


def psk(order: int, rotation: float = 0.0) -> Points:
    """exp(j (2 pi k / order + rotation)), k = 0 .. order - 1 [A]."""
    return np.asarray(np.exp(1j * (2 * np.pi * np.arange(order) / order + rotation)), np.complex128)


def square_qam(order: int) -> Points:
    """Odd-integer grid of sqrt(order) by sqrt(order) points [A]."""
    side = round(order**0.5)
    levels = 2.0 * np.arange(side) - side + 1
    return np.asarray(levels[:, None] + 1j * levels[None, :], np.complex128).ravel()


def cross_qam(order: int) -> Points:
    """Square grid with the corners cut: 6 x 6 less 4 for 32 points, 12 x 12 less 16 for 128 [A]."""
    side, corner = {32: (6, 1), 128: (12, 2)}[order]
    grid = square_qam(side * side)
    limit = side - 1 - 2 * corner
    return grid[~((np.abs(grid.real) > limit) & (np.abs(grid.imag) > limit))]


def apsk(counts: Sequence[int], radii: Sequence[float]) -> Points:
    """Rings of ``counts[i]`` equally spaced points at radius ``radii[i]``, the first point at angle pi / count."""
    rings = [r * np.exp(1j * np.pi * (2 * np.arange(n) + 1) / n) for n, r in zip(counts, radii, strict=True)]
    return np.concatenate(rings)


RINGS: dict[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
    # DVB-S2 has 2.57 to 3.15 [B: 2.4 to 2.85 all fit].
    "16APSK": ((4, 12), (1.0, 2.57)),
    # DVB-S2X 2/3-L [A: distance of VGG10's confusions .03 over two SNRs; DVB-S2's 2.84, 5.27 gives .19].
    "32APSK": ((4, 12, 16), (1.0, 2.85, 5.55)),
    # A fit to 2-3 %, near CCSDS 131.2-B (2.73, 4.52, 6.31), far from S2X [B].
    "64APSK": ((4, 12, 20, 28), (1.0, 2.58, 4.3, 6.22)),
    # DVB-S2X 135/180 [A: the only one that BacalhauNet also names].
    "128APSK": ((16, 16, 16, 16, 16, 48), (1.0, 1.715, 2.118, 2.681, 2.75, 3.819)),
}
"""Points per ring and radii of the APSK classes; the sources are beside the numbers."""


def _builders() -> dict[str, Callable[[], Points]]:
    builders: dict[str, Callable[[], Points]] = {
        "OOK": lambda: ask(2),
        "4ASK": lambda: ask(4),
        "8ASK": lambda: ask(8),
        "BPSK": lambda: psk(2),
        "QPSK": lambda: psk(4, np.pi / 4),
        "8PSK": lambda: psk(8),
        "16PSK": lambda: psk(16),
        "32PSK": lambda: psk(32),
        "16QAM": lambda: square_qam(16),
        "32QAM": lambda: cross_qam(32),
        "64QAM": lambda: square_qam(64),
        "128QAM": lambda: cross_qam(128),
        "256QAM": lambda: square_qam(256),
        # On the axes, not on the diagonals: every network names it so, none with the usual 45 degrees [A].
        "OQPSK": lambda: psk(4),
    }
    for name, (counts, radii) in RINGS.items():
        builders[name] = lambda counts=counts, radii=radii: apsk(counts, radii)  # type: ignore[misc]
    return builders


BUILDERS: dict[str, Callable[[], Points]] = _builders()
"""Constellation builders by class name, unscaled."""


def constellation(name: str, rings: tuple[Sequence[int], Sequence[float]] | None = None) -> Points:
    """The points of class ``name``, scaled to mean |c| = 1: complex128 (order,).

    >>> constellation("QPSK").round(3).tolist()
    [(0.707+0.707j), (-0.707+0.707j), (-0.707-0.707j), (0.707-0.707j)]
    >>> constellation("OOK").real.tolist()
    [0.0, 2.0]

    Args:
        name: A linear digital class.
        rings: Points per ring and radii in place of those of ``RINGS``, for the APSK classes.
    """
    points = BUILDERS[name]() if rings is None else apsk(*rings)
    return np.asarray(points / np.abs(points).mean(), np.complex128)
