"""How complex samples are stored: the SigMF names of types, and the file endings that mean them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.errors import RecordingError

_NAME = re.compile(r"c([fiu])(8|16|32|64)(?:_(le|be))?")
_ALIASES = {"fc32": "cf32_le", "fc64": "cf64_le", "cfile": "cf32_le", "complex64": "cf32_le", "complex128": "cf64_le"}

ALLOWED = "cf32, cf64, ci8, ci16, ci32, cu8, cu16, cu32, with _le (default) or _be; also cs8, cs16, fc32, cfile"
"""Names that ``sample_type`` takes, in words."""


@dataclass(frozen=True)
class SampleType:
    r"""Type of the I and Q values of a file.

    .. math:: x = (v - z) / s

    A stored value `v` becomes `x`: `z` is 0, for unsigned types half the range; `s` is 1 for floats, for integers
    half the range, so that full scale is 1 (as the SigMF library does).

    Attributes:
        name: The SigMF name, for example ``ci16_le``.
        component: numpy type of one value, byte order included.
        zero: `z`.
        scale: `s`.
    """

    name: str
    component: np.dtype[Any]
    zero: float
    scale: float

    @property
    def sample_bytes(self) -> int:
        """Bytes of an I and a Q value."""
        return 2 * self.component.itemsize

    def to_complex(self, values: NDArray[Any]) -> NDArray[np.complex64]:
        """Return stored values, alternating I and Q along the last axis, as complex64 of full scale 1."""
        if values.dtype == np.dtype("<f4"):
            return np.ascontiguousarray(values).view(np.complex64)
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and the reader says so
            out = values.astype(np.float32, order="C")
        if self.zero:
            out -= np.float32(self.zero)
        if self.scale != 1:
            out *= np.float32(1 / self.scale)
        return out.view(np.complex64)


def sample_type(name: str, where: str | None = None) -> SampleType:
    """Return the type of a SigMF name, or of a name in use elsewhere (``cs16``, ``fc32``, ``cfile``).

    Args:
        name: The name.
        where: The file that has it, for the message.

    Raises:
        RecordingError: If the name is unknown, or of real samples.
    """
    wanted = _ALIASES.get(name.lower(), name.lower())
    wanted = re.sub(r"^cs(?=\d)", "ci", wanted)
    match = _NAME.fullmatch(wanted)
    if match is None or (match[1] == "f" and match[2] in ("8", "16")) or (match[1] != "f" and match[2] == "64"):
        real = re.fullmatch(r"r[fiu](8|16|32|64)(_[lb]e)?", wanted)
        problem = f"the sample type {name!r} is real, not complex" if real else f"unknown sample type {name!r}"
        raise RecordingError(problem, where=where, allowed=ALLOWED, action="pass the right one with --type")
    kind, bits, order = match[1], int(match[2]), match[3] or "le"
    component = np.dtype(f"{'>' if order == 'be' else '<'}{kind}{bits // 8}")
    half = float(2 ** (bits - 1))
    plain = f"c{kind}{bits}" + ("" if bits == 8 else f"_{order}")
    return SampleType(plain, component, half if kind == "u" else 0.0, 1.0 if kind == "f" else half)


def numpy_type(dtype: np.dtype[Any]) -> SampleType | None:
    """Return the sample type whose I and Q values have a numpy type (or that a complex numpy type holds)."""
    if dtype.kind == "c":
        dtype = np.dtype(f"{dtype.str[0]}f{dtype.itemsize // 2}")
    if dtype.kind not in "fiu" or dtype.itemsize not in ((4, 8) if dtype.kind == "f" else (1, 2, 4)):
        return None
    big = dtype.str[0] == ">"
    return sample_type(f"c{dtype.kind}{8 * dtype.itemsize}_{'be' if big else 'le'}")
