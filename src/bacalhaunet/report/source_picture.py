"""One picture of a frame source: constellation, spectrum and waveform of every class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import whole_file
from bacalhaunet.radio.constellations import BUILDERS, constellation
from bacalhaunet.radio.modulations import FRAME_LENGTH, SAMPLES_PER_SYMBOL
from bacalhaunet.radio.pulses import pulse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bacalhaunet.radio.profiles import FrameSource

_FRAMES = 64  # frames behind a spectrum
_POINT_FRAMES = 8  # frames behind a constellation
_COLUMNS = 4  # classes side by side
_IN_PHASE, _QUADRATURE, _POINTS, _SPECTRUM, _INK, _FAINT = "#0b6e99", "#e07a1f", "#204a60", "#5b3f8c", "#222222", "#999"
_SHOWN = 160  # samples of a waveform


def draw_source(
    path: str | os.PathLike[str], source: FrameSource, *, snr_db: float = 30.0, seed: int = 0, title: str = "twin"
) -> None:
    """Write the picture.

    A constellation shows the samples at the symbol instants of frames 0 to 7, equalised for the twin's pulse and timed
    (``ideal_symbols``), its carrier removed (``upright``); of the analog classes, GMSK and OQPSK all samples of two
    frames. A spectrum is the mean over 64 frames, 60 dB high. A waveform is the start of frame 0.

    Raises:
        ConfigError: If the ending is none that can be drawn.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    if Path(path).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ConfigError(f"a picture cannot end in {Path(path).suffix!r}", allowed=".png, .svg or .pdf")
    names = source.classes.names
    rows = -(-len(names) // _COLUMNS)
    figure = Figure(figsize=(16.5, 2.1 * rows), layout="constrained")
    figure.suptitle(f"The {len(names)} classes of the {title} at {snr_db:+g} dB, seed {seed}", fontsize=15, color=_INK)
    figure.supxlabel(
        "each class: constellation at the symbol instants (±2.4)  ·  mean spectrum (±0.5 cycles a sample, 60 dB)  ·  "
        "I and Q of the first 160 samples",
        fontsize=9.5,
        color=_INK,
    )
    outer = figure.add_gridspec(rows, _COLUMNS)
    for label, name in enumerate(names):
        cell = outer[label // _COLUMNS, label % _COLUMNS].subgridspec(
            2, 2, width_ratios=(1, 1.25), wspace=0.02, hspace=0.02
        )
        axes = [figure.add_subplot(cell[:, 0]), figure.add_subplot(cell[0, 1]), figure.add_subplot(cell[1, 1])]
        _draw_class(axes, _complex_frames(source, label, snr_db, seed), name)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=72, metadata={"Date": None} if partial.suffix == ".svg" else {})


def _complex_frames(source: FrameSource, label: int, snr_db: float, seed: int) -> NDArray[np.complex64]:
    index = torch.arange(_FRAMES)
    snrs = torch.full((_FRAMES,), snr_db)
    frames = source.frames(torch.full_like(index, label), snrs, index, seed=seed).cpu().numpy()
    return np.asarray(frames[:, 0] + 1j * frames[:, 1], np.complex64)


def _draw_class(axes: list[Any], frames: NDArray[np.complex64], name: str) -> None:
    if name in BUILDERS and name != "OQPSK":
        ideal = constellation(name)
        points = np.concatenate([upright(ideal_symbols(f), ideal) for f in frames[:_POINT_FRAMES]])
    else:
        points = frames[:2].ravel().astype(np.complex128)
    limit = 2.4 * max(1.0, float(np.quantile(np.abs(points), 0.99)) / 2.2)
    scatter, spectrum, waveform = axes
    scatter.scatter(points.real, points.imag, s=2.2, color=_POINTS, alpha=0.45, linewidths=0, rasterized=True)
    scatter.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    scatter.set_title(name, fontsize=11, color=_INK, loc="left", pad=2, fontweight="bold")
    if limit > 2.41:
        scatter.text(0.97, 0.03, f"±{limit:.1f}", transform=scatter.transAxes, ha="right", fontsize=7)
    power = np.abs(np.fft.fftshift(np.fft.fft(frames * np.hanning(FRAME_LENGTH), axis=1), axes=1)) ** 2
    level = 10 * np.log10(power.mean(0).reshape(-1, 2).mean(1))
    spectrum.plot(np.linspace(-0.5, 0.5, len(level)), level - level.max(), color=_SPECTRUM, linewidth=0.8)
    spectrum.set(xlim=(-0.5, 0.5), ylim=(-60, 4))
    waveform.plot(frames[0, :_SHOWN].real, color=_IN_PHASE, linewidth=0.9)
    waveform.plot(frames[0, :_SHOWN].imag, color=_QUADRATURE, linewidth=0.9)
    waveform.set(xlim=(0, _SHOWN))
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.axhline(0, color=_FAINT, linewidth=0.4, zorder=0) if axis is not spectrum else None
        for spine in axis.spines.values():
            spine.set(color=_FAINT, linewidth=0.6)


def ideal_symbols(
    frame: NDArray[np.complex64], roll_off: float = 0.41, cascaded: float = 3.0
) -> NDArray[np.complex128]:
    """Symbols of a frame after a receiver that knows the pulse: equalised to a Nyquist pulse, timed, offset removed.

    The equaliser turns the twin's response RC^(c/2) into RC(f). Timing: the one of 64 instants a symbol whose
    samples have the largest mean power of |y|^2 spread at the symbol rate (Oerder and Meyr, IEEE Trans. Comm. 36,
    1988). The carrier's phase is left as it is, but for its drift.

    Args:
        frame: complex64 (1024,).
        roll_off: The pulse's roll-off.
        cascaded: Root-raised-cosine filters in the pulse.

    Returns:
        complex128, about 110 symbols.
    """
    # A raised cosine divided by the pulse's response, inside the band; outside there is no signal to receive.
    frequency = np.fft.fftfreq(2 * FRAME_LENGTH) * SAMPLES_PER_SYMBOL
    half = 12 * SAMPLES_PER_SYMBOL
    time = np.arange(-half, half + 1) / SAMPLES_PER_SYMBOL
    response = np.abs(np.fft.fft(pulse(time, roll_off, cascaded), 2 * FRAME_LENGTH)) / SAMPLES_PER_SYMBOL
    nyquist = np.abs(np.fft.fft(pulse(time, roll_off, 2.0), 2 * FRAME_LENGTH)) / SAMPLES_PER_SYMBOL
    inside = np.abs(frequency) < (1 + roll_off) / 2 * 0.98
    equaliser = np.where(inside, nyquist / np.maximum(response, 0.03), 0)
    received = np.fft.ifft(np.fft.fft(frame, 2 * FRAME_LENGTH) * equaliser)[:FRAME_LENGTH]
    phase = np.angle((np.abs(received) ** 2 * np.exp(-2j * np.pi * np.arange(FRAME_LENGTH) / SAMPLES_PER_SYMBOL)).sum())
    delay = (-phase / (2 * np.pi) * SAMPLES_PER_SYMBOL) % SAMPLES_PER_SYMBOL
    spectrum = np.fft.fft(received)
    shifted = np.fft.ifft(spectrum * np.exp(2j * np.pi * np.fft.fftfreq(FRAME_LENGTH) * delay))
    return np.asarray(shifted[5 * SAMPLES_PER_SYMBOL : -6 * SAMPLES_PER_SYMBOL : SAMPLES_PER_SYMBOL], np.complex128)


def upright(symbols: NDArray[np.complex128], ideal: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Symbols turned and scaled onto a known constellation: closest to its points in phase, drift and size.

    A coarse search over 9 drifts and 90 phases, one over sizes, then two rounds of decisions and a straight line
    through the angles to the decided points.

    Args:
        symbols: complex128 (n,).
        ideal: The constellation's points, complex128.
    """
    number = np.arange(len(symbols)) - len(symbols) / 2
    scaled = symbols * (np.abs(ideal).mean() / np.abs(symbols).mean())
    best, chosen = np.inf, scaled
    for drift in np.linspace(-6e-3, 6e-3, 9):
        for phase in np.arange(90) * (2 * np.pi / 90):
            turned = scaled * np.exp(-1j * (phase + drift * number))
            error = np.abs(turned[::3, None] - ideal[None, :]).min(1).sum()
            if error < best:
                best, chosen = error, turned
    chosen = min(
        (scale * chosen for scale in np.linspace(0.8, 1.2, 81)),
        key=lambda turned: float(np.abs(turned[:, None] - ideal[None, :]).min(1).sum()),
    )
    for _ in range(2):
        decided = ideal[np.abs(chosen[:, None] - ideal[None, :]).argmin(1)]
        weight = np.abs(decided) + 1e-9
        slope, offset = np.polyfit(number, np.angle(chosen * decided.conj()), 1, w=weight)
        chosen = chosen * np.exp(-1j * (offset + slope * number))
        chosen = chosen * (np.abs(decided) ** 2).sum() / (chosen * decided.conj()).real.sum()
    return np.asarray(chosen, np.complex128)
