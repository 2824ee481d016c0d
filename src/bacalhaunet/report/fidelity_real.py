"""Real frames beside the twin's: power, spectrum, pulse and roll-off.

A folder of real frames holds .npy files: float32 (n, 2, >= 128) of BPSK and QPSK at +30 dB, mixed, with ``bpsk_qpsk``
in the name. Other files are left alone.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import by_name
from bacalhaunet.report.fidelity_pulse import LENGTH, PulseEstimate, difference_db, estimate_pulse

if TYPE_CHECKING:
    from bacalhaunet.radio.profiles import FrameSource


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
