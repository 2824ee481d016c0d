"""Analog transmitters of the field profile: AM with and without carrier, SSB, narrow and broadcast FM."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from bacalhaunet.radio.field.config import FieldConfig, Service
from bacalhaunet.radio.field.draws import Choice, Draws, amplitude, between, choice, phasor
from bacalhaunet.radio.field.messages import AUDIO_LENGTH, AUDIO_OVERSAMPLING, Messages
from bacalhaunet.radio.field.transmitter import BLOCK_LENGTH, FieldSignal, interpolate

UPSAMPLING = 4
"""Grid points per audio sample before the resampling to the frame's own rate."""

STEREO_HIGHEST_HZ = 53000.0
"""Highest frequency of the pilot-tone multiplex (ITU-R BS.450)."""

PILOT_HZ = 19000.0
"""Frequency of the pilot tone (ITU-R BS.450)."""

PILOT_LEVEL = 0.1
"""Share of the deviation that the pilot takes (ITU-R BS.450: 8 to 10 %)."""

_GRID_LENGTH = AUDIO_LENGTH * UPSAMPLING


class _ServiceTable:
    """The services of one class as tensors, to be picked from by frame."""

    def __init__(self, services: Sequence[Service], device: torch.device) -> None:
        rows = [(*s.audio_hz, float(s.music), s.deviation_hz, s.emphasis_s, float(s.stereo)) for s in services]
        self._table = torch.tensor(rows, device=device)

    def pick(self, uniform: Tensor) -> tuple[Tensor, ...]:
        """Lowest and highest audio frequency, music, deviation, emphasis, stereo: each (B,)."""
        return self._table[choice(uniform, len(self._table))].unbind(1)


class _Analog(ABC):
    """What the analog transmitters share: services, messages and the sample rate.

    Args:
        config: Modulations, services, speech and music.
        device: Where.
    """

    def __init__(self, config: FieldConfig, device: torch.device) -> None:
        self.config, self._audio = config.analog, config.audio
        self._messages = Messages(config.audio, device)
        self._services = _ServiceTable(self._offered(), device)
        self._time = torch.arange(BLOCK_LENGTH, device=device, dtype=torch.float32)

    @abstractmethod
    def _offered(self) -> tuple[Service, ...]:
        """The services of these modulations."""

    def _sample_rate(self, bandwidth_hz: Tensor, draws: Draws) -> Tensor:
        """Sample rate in Hz: log-normal about samples_per_bandwidth times the bandwidth."""
        config = self.config
        ratio = config.samples_per_bandwidth * torch.exp(draws.spread() * config.bandwidth_spread)
        return bandwidth_hz * ratio.clamp(*config.samples_per_bandwidth_range)

    def _paused(self, u: Tensor) -> Tensor:
        """1 in frames with a message, 0 in pauses of a transmission with a carrier."""
        return (u >= self._audio.pause_share).to(torch.float32)

    @staticmethod
    def _signal(samples: Tensor, bandwidth_hz: Tensor, sample_rate: Tensor) -> FieldSignal:
        zero = torch.zeros_like(sample_rate)
        bandwidth = bandwidth_hz / sample_rate
        return FieldSignal(samples, bandwidth, bandwidth, zero, sample_rate, zero, zero)


class DoubleSideband(_Analog):
    """AM-DSB-WC: s = 1 + a m(t), AM-DSB-SC: s = m(t); m real with max |m| = 1 over the message, a the depth.

    The bandwidth of the in-band SNR is 2 W, W the highest audio frequency.
    """

    modulations: ClassVar[Mapping[str, str]] = {"AM-DSB-WC": "AM", "AM-DSB-SC": "AM"}

    def _offered(self) -> tuple[Service, ...]:
        return self.config.am_services

    def transmit(self, which: Tensor, draws: Draws) -> FieldSignal:
        """A message on a carrier, or without one."""
        u = draws.choices(Choice.SERVICE)
        low, high, music, _, emphasis, _ = self._services.pick(u[:, 0])
        bandwidth_hz = 2 * high
        sample_rate = self._sample_rate(bandwidth_hz, draws)
        spectrum = self._messages.spectra(low, high, music > 0.5, emphasis, draws)
        grid = torch.fft.irfft(spectrum, n=_GRID_LENGTH)
        message = _resample(grid, high, sample_rate) / _peak(grid)
        depth = between(u[:, 1], self.config.modulation)
        carrier = which == 0
        depth = torch.where(carrier, depth * self._paused(u[:, 2]), torch.ones_like(depth))
        real = carrier.to(torch.float32)[:, None] + depth[:, None] * message
        signal = self._signal(torch.complex(real, torch.zeros_like(real)), bandwidth_hz, sample_rate)
        signal.truth = {"depth": torch.where(carrier, depth, torch.zeros_like(depth)), "audio_high_hz": high}
        return signal


class SingleSideband(_Analog):
    """SSB: s = c + (1 - c) a (m + j H[m]), conjugated for the lower sideband; peak envelope 1 at a = 1.

    c is the carrier relative to the peak envelope: AM-SSB-WC full (H3E) or reduced (R3E), AM-SSB-SC suppressed
    (J3E), where a = 1. The bandwidth of the in-band SNR is that of the audio, W minus its lowest frequency.
    """

    modulations: ClassVar[Mapping[str, str]] = {"AM-SSB-WC": "SSB", "AM-SSB-SC": "SSB"}

    def _offered(self) -> tuple[Service, ...]:
        return self.config.ssb_services

    def transmit(self, which: Tensor, draws: Draws) -> FieldSignal:
        """One sideband of a message, its carrier or its middle at zero frequency."""
        config = self.config
        u = draws.choices(Choice.SERVICE)
        v = draws.choices(Choice.MODULATOR)
        low, high, music, _, emphasis, _ = self._services.pick(u[:, 0])
        bandwidth_hz = high - low
        sample_rate = self._sample_rate(bandwidth_hz, draws)
        half = self._messages.spectra(low, high, music > 0.5, emphasis, draws)
        whole = torch.zeros(len(which), _GRID_LENGTH, dtype=torch.complex64, device=which.device)
        whole[:, : half.shape[1]] = half
        grid = torch.fft.ifft(whole)
        sideband = _resample(grid, high, sample_rate) / _peak(grid)
        full = amplitude(between(v[:, 0], config.full_carrier_db))
        reduced = amplitude(between(v[:, 0], config.reduced_carrier_db))
        with_carrier = torch.where(v[:, 1] < config.full_carrier_share, full, reduced)
        suppressed = amplitude(between(v[:, 0], config.suppressed_carrier_db))
        has_carrier = which == 0
        carrier = torch.where(has_carrier, with_carrier, suppressed)
        level = between(u[:, 1], config.modulation) * self._paused(u[:, 2])
        level = torch.where(has_carrier, level, torch.ones_like(level))
        signal = self._signal(carrier[:, None] + ((1 - carrier) * level)[:, None] * sideband, bandwidth_hz, sample_rate)
        side = torch.where(v[:, 2] < config.upper_share, 1.0, -1.0)
        signal.samples = torch.complex(signal.samples.real, signal.samples.imag * side[:, None])
        self._centre(signal, side * (low + high) / 2, v[:, 3] < config.carrier_tuned_share, has_carrier)
        signal.truth = {"side": side, "carrier": carrier, "carrier_frequency": signal.truth["carrier_frequency"]}
        return signal

    def _centre(self, signal: FieldSignal, middle_hz: Tensor, tuned: Tensor, has_carrier: Tensor) -> None:
        """Leave the carrier at zero frequency or move the middle of the sideband there."""
        middle = middle_hz / signal.sample_rate_hz
        shift = torch.where(tuned, torch.zeros_like(middle), -middle)
        signal.samples = signal.samples * phasor(self._time * (2 * math.pi * shift)[:, None])
        signal.centre = middle + shift
        # A filter about the middle of the sideband must still pass a carrier at its edge.
        signal.occupied = torch.where(has_carrier, 2 * middle.abs() + signal.occupied * 0.1, signal.occupied)
        signal.truth = {"carrier_frequency": shift}


class FrequencyModulation(_Analog):
    """FM: s = exp(j 2 pi D sum_n m(n) / fs), D the peak deviation, max |m| = 1 over the message.

    The stereo multiplex is m = 0.9 (M + r S cos(2 w t)) / (1 + r) + 0.1 cos(w t), w the pilot. The bandwidth of
    the in-band SNR is Carson's, 2 (D + W).
    """

    modulations: ClassVar[Mapping[str, str]] = {"FM": "FM"}

    def _offered(self) -> tuple[Service, ...]:
        return self.config.fm_services

    def transmit(self, which: Tensor, draws: Draws) -> FieldSignal:
        """Speech or music in the frequency, in mono or as the stereo multiplex."""
        u = draws.choices(Choice.SERVICE)
        v = draws.choices(Choice.MODULATOR)
        low, high, music, rated, emphasis, stereo = self._services.pick(u[:, 0])
        level = between(u[:, 1], self.config.modulation)
        highest = torch.where(stereo > 0.5, torch.full_like(high, STEREO_HIGHEST_HZ), high)
        bandwidth_hz = 2 * (rated * level + highest)
        sample_rate = self._sample_rate(bandwidth_hz, draws)
        grid = torch.fft.irfft(self._messages.spectra(low, high, music > 0.5, emphasis, draws), n=_GRID_LENGTH)
        active = (self._paused(u[:, 2]) / _peak(grid)[:, 0])[:, None]
        total = _resample(grid, high, sample_rate) * active
        difference = _resample(grid, high, sample_rate, offset=_GRID_LENGTH // 4) * active
        ratio = between(v[:, 0], self.config.stereo_difference)[:, None]
        pilot = 2 * math.pi * (self._time * (PILOT_HZ / sample_rate)[:, None] + v[:, 1, None])
        multiplex = (1 - PILOT_LEVEL) * (total + ratio * difference * torch.cos(2 * pilot)) / (1 + ratio)
        multiplex = multiplex + PILOT_LEVEL * torch.cos(pilot)
        message = torch.where(stereo[:, None] > 0.5, multiplex, total)
        deviation = rated * level
        steps = message * (2 * math.pi * deviation / sample_rate)[:, None]
        signal = self._signal(phasor(torch.cumsum(steps, 1)), bandwidth_hz, sample_rate)
        signal.truth = {"deviation": deviation / sample_rate, "deviation_hz": deviation, "stereo": stereo}
        return signal


def _peak(grid: Tensor) -> Tensor:
    """Largest magnitude of each row, (B, 1)."""
    return grid.abs().amax(1, keepdim=True).clamp_(min=1e-30)


def _resample(grid: Tensor, audio_high: Tensor, sample_rate: Tensor, offset: int = 0) -> Tensor:
    """The middle of the message (or ``offset`` grid steps beside it) at the frame's sample rate: (B, BLOCK_LENGTH).

    Complex samples come as they are. Real ones are limited to the peak of the grid, which interpolation can exceed by a
    few per cent, as the limiters of transmitters do (ETSI EN 300 086).
    """
    step = audio_high * (AUDIO_OVERSAMPLING * UPSAMPLING) / sample_rate
    start = (_GRID_LENGTH / 2 + offset) - step * (BLOCK_LENGTH / 2)
    message = interpolate(grid, start, step, BLOCK_LENGTH)
    if message.is_complex():
        return message
    peak = _peak(grid)
    return torch.minimum(torch.maximum(message, -peak), peak)
