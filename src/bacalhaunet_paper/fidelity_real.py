"""Real frames beside the twin's: power, spectrum, pulse and roll-off.

A folder of real frames holds .npy files: float32 (n, 2, >= 128) of BPSK and QPSK at +30 dB, mixed, with ``bpsk_qpsk``
in the name. Other files are left alone.

The pulse shape behind PSK frames, estimated without assuming it, and its roll-off.

Each frame is x(n) = a exp(j (phi + w n)) sum_k c_k h(n - 8 k - d) with all of a, phi, w, c, d unknown. A first guess of
the pulse finds delay and symbols; once the symbols are decided, h follows by linear least squares over all frames and
the guess plays no part any more.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import SAMPLES_PER_SYMBOL, by_name
from bacalhaunet.radio.pulses import pulse

if TYPE_CHECKING:
    from bacalhaunet.radio.profiles import FrameSource

LENGTH = 128
"""Samples of each frame that are used."""

REACH = 40
"""The pulse is estimated at 2 * REACH + 1 samples, five symbols on either side."""

_INSTANTS = np.arange(-REACH, REACH + 1)
_SYMBOLS = np.arange(-3, LENGTH // SAMPLES_PER_SYMBOL + 3)  # those that a frame of 128 samples feels


@dataclass(frozen=True)
class PulseEstimate:
    """A pulse and the raised-cosine power that fits it best.

    Attributes:
        taps: h at samples -40 .. 40 around its centre less the timing fraction, unit energy: float64 (81,).
        roll_off: Roll-off of the fit RC^(c/2).
        cascaded: c of the fit, the number of root-raised-cosine filters.
        timing: Fraction of a sample of the fit.
        frames: Frames used.
        residual_db: Power of frame samples that the taps and decided symbols do not explain, against their power.
    """

    taps: NDArray[np.float64]
    roll_off: float
    cascaded: float
    timing: float
    frames: int
    residual_db: float


def difference_db(a: PulseEstimate, b: PulseEstimate) -> float:
    """10 log10 of sum |a - b|^2 / sum |b|^2 of the taps, without any alignment."""
    return float(10 * np.log10(((a.taps - b.taps) ** 2).sum() / (b.taps**2).sum()))


@lru_cache(maxsize=8)
def _guesses(timing: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each delay 0..7: the matrix from symbols to samples (8, 128, K) and its regularised inverse (8, K, 128)."""
    delay = np.arange(SAMPLES_PER_SYMBOL)[:, None, None]
    time = np.arange(LENGTH)[None, :, None] - SAMPLES_PER_SYMBOL * _SYMBOLS[None, None, :] - delay - timing
    forward = pulse(time / SAMPLES_PER_SYMBOL, 0.4, 3.0)
    gram = forward.transpose(0, 2, 1) @ forward + 1e-3 * np.eye(len(_SYMBOLS))
    return forward, np.asarray(np.linalg.solve(gram, forward.transpose(0, 2, 1)), np.float64)


def estimate_pulse(frames: NDArray[np.float32], timing: float = 0.52) -> PulseEstimate:
    """Estimate the pulse from BPSK and QPSK frames, mixed, at a high SNR.

    Args:
        frames: float32 (n, 2, >= 128); the first 128 samples are used.
        timing: Fraction of a sample in the first guess.

    Raises:
        ConfigError: If fewer than 50 frames can be used; frames of other classes or of a low SNR cannot.
    """
    samples = (frames[:, 0, :LENGTH] + 1j * frames[:, 1, :LENGTH]).astype(np.complex128)
    rows, targets = [], []
    for frame in samples:
        decided = _decide(frame, timing)
        if decided is None:
            continue
        design, clean = decided
        rows.append(design)
        targets.append(clean)
    if len(rows) < 50:
        raise ConfigError(f"{len(rows)} of {len(samples)} frames are clean BPSK or QPSK", allowed="50 or more")
    design, clean = np.concatenate(rows), np.concatenate(targets)
    gram = (design.conj().T @ design).real
    taps = np.linalg.solve(gram, (design.conj().T @ clean).real)
    left = clean - design @ taps
    residual = float(10 * np.log10((np.abs(left) ** 2).sum() / (np.abs(clean) ** 2).sum()))
    taps = taps / np.sqrt((taps**2).sum())
    return PulseEstimate(taps, *_fit(taps, timing), len(rows), residual)


def _decide(
    frame: NDArray[np.complex128], timing: float
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]] | None:
    """Equations ``design @ h = clean`` of one frame, or None where its symbols are not those of BPSK or QPSK."""
    forward, inverse = _guesses(timing)
    soft = inverse @ frame
    left = np.abs(np.einsum("dnk,dk->dn", forward, soft) - frame) ** 2
    delay = int(left.sum(1).argmin())
    inner = (_SYMBOLS >= 1) & (_SYMBOLS <= 14)
    symbols, place = soft[delay], SAMPLES_PER_SYMBOL * _SYMBOLS + delay + timing
    scale = np.abs(symbols[inner]).mean()
    symbols = symbols / scale
    binary = abs((symbols[inner] ** 2).mean()) > 0.8
    order = 2 if binary else 4
    drift = 0.0
    for again in (False, True):  # first by the mean phase, then with the drift that the decisions show
        turned = symbols * np.exp(-1j * drift * place)
        phase = np.angle((turned[inner] ** order).mean()) / order
        upright = turned * np.exp(-1j * phase)
        hard = np.exp(2j * np.pi / order * np.round(np.angle(upright) / (2 * np.pi / order)))
        if not again:
            drift = np.polyfit(place[inner], np.angle(upright * hard.conj())[inner], 1)[0]
    if np.abs(upright - hard)[inner].max() > 0.25:
        return None
    used = np.arange(REACH, LENGTH - REACH)
    design = np.zeros((len(used), len(_INSTANTS)), np.complex128)
    for symbol, number in zip(hard, _SYMBOLS, strict=True):
        instant = used - SAMPLES_PER_SYMBOL * number - delay
        ok = np.abs(instant) <= REACH
        design[np.flatnonzero(ok), instant[ok] + REACH] += symbol
    clean = frame[used] / scale * np.exp(-1j * (phase + drift * used))
    return design, clean


def _fit(taps: NDArray[np.float64], timing: float) -> tuple[float, float, float]:
    """Roll-off, cascaded filters and timing of the closest raised-cosine power."""
    from scipy.optimize import least_squares

    def error(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        roll_off, cascaded, late = parameters
        model = pulse((_INSTANTS - late) / SAMPLES_PER_SYMBOL, roll_off, cascaded)
        return np.asarray(model / np.sqrt((model**2).sum()) - taps)

    found = least_squares(error, (0.35, 2.5, timing), bounds=((0.02, 0.5, -2), (1.0, 8.0, 3))).x
    return float(found[0]), float(found[1]), float(found[2])


@dataclass(frozen=True)
class FrameFacts:
    """What was measured on one set of frames.

    Attributes:
        frames: Frames of the set.
        power: Mean power of 128 samples.
        power_std: Its standard deviation over frames.
        spectrum_db: Mean Hann-windowed power spectrum at 128 frequencies from -0.5, 0 dB at its mean in the pass band.
        pulse: The pulse and its roll-off.
    """

    frames: int
    power: float
    power_std: float
    spectrum_db: NDArray[np.float64]
    pulse: PulseEstimate

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        pulse = asdict(self.pulse)
        return {
            **asdict(self),
            "spectrum_db": self.spectrum_db.tolist(),
            "pulse": {**pulse, "taps": self.pulse.taps.tolist()},
        }


@dataclass(frozen=True)
class RealFrames:
    """Both sets and how far apart they are.

    Attributes:
        real: The real frames.
        twin: As many frames of the twin, BPSK and QPSK in equal parts.
        pulse_difference_db: Energy of the difference of the two pulses against the real one's.
        spectrum_difference_db: Largest difference of the spectra where both are above -30 dB.
    """

    real: FrameFacts
    twin: FrameFacts
    pulse_difference_db: float
    spectrum_difference_db: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "real": self.real.to_dict(),
            "twin": self.twin.to_dict(),
            "pulse_difference_db": self.pulse_difference_db,
            "spectrum_difference_db": self.spectrum_difference_db,
        }


def frame_facts(frames: NDArray[np.float32]) -> FrameFacts:
    """Measure BPSK and QPSK frames, float32 (n, 2, >= 128)."""
    samples = frames[:, 0, :LENGTH] + 1j * frames[:, 1, :LENGTH]
    powers = (np.abs(samples) ** 2).mean(1)
    spectra = np.abs(np.fft.fftshift(np.fft.fft(samples * np.hanning(LENGTH), axis=1), axes=1)) ** 2
    spectrum = spectra.mean(0)
    inside = np.abs(np.arange(LENGTH) - LENGTH // 2) <= 4
    level = 10 * np.log10(spectrum / spectrum[inside].mean())
    return FrameFacts(len(frames), float(powers.mean()), float(powers.std()), level, estimate_pulse(frames))


def compare_real_frames(source: FrameSource, folder: str | os.PathLike[str], seed: int) -> RealFrames:
    """Measure the real frames of a folder and as many of the source's.

    Raises:
        ConfigError: If the folder has no file of BPSK and QPSK frames, or the file is of another shape.
    """
    found = sorted(Path(folder).glob("*bpsk_qpsk*.npy"))
    if not found:
        raise ConfigError("no real frames in the folder", where=str(folder), allowed="a file *bpsk_qpsk*.npy")
    frames = np.load(found[0], allow_pickle=False)
    if frames.ndim != 3 or frames.shape[1] != 2 or frames.shape[2] < LENGTH:
        raise ConfigError(f"frames of shape {frames.shape}", where=str(found[0]), allowed=f"(n, 2, {LENGTH} or more)")
    index = torch.arange(len(frames))
    labels = torch.where(index % 2 == 0, by_name("BPSK").label, by_name("QPSK").label)
    made = source.frames(labels, torch.full((len(frames),), 30.0), index, seed=seed).cpu().numpy()
    real, twin = frame_facts(frames.astype(np.float32)), frame_facts(made)
    both = (real.spectrum_db > -30) & (twin.spectrum_db > -30)
    spectral = float(np.abs(real.spectrum_db - twin.spectrum_db)[both].max())
    return RealFrames(real, twin, difference_db(twin.pulse, real.pulse), spectral)
