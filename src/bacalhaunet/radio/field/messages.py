"""Speech-like and music-like audio, by the source-filter model, for a batch of frames at once.

Speech: a harmonic source with gliding pitch (voiced) or noise (unvoiced), three formants in parallel (Klatt, JASA 67,
1980), a syllabic envelope. Music: one to three notes of equal temperament with decaying harmonics and envelopes, and a
little noise. Both pass the service's band and its pre-emphasis.

A frame of 1024 samples at 8 samples a bandwidth lasts 10 to 50 ms in narrow services and below 1 ms in broadcast FM,
less than a syllable; a message is therefore a segment drawn at a random instant of speech or music, not a text.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bacalhaunet.radio.field.config import AudioConfig
from bacalhaunet.radio.field.draws import Choice, Draws, Stream, amplitude, between, choice, log_between, plus_minus

AUDIO_LENGTH = 1024
"""Audio samples of a message."""

AUDIO_OVERSAMPLING = 2.4
"""Audio sample rate over the highest audio frequency."""

_ACTIVE = 0.75  # share of a syllable's period in which the envelope is above zero


class Messages:
    """Makes the spectra of messages.

    Args:
        config: What speech and music are like.
        device: Where.
    """

    def __init__(self, config: AudioConfig, device: torch.device) -> None:
        self.config = config
        self._time = torch.arange(AUDIO_LENGTH, device=device, dtype=torch.float32) - AUDIO_LENGTH / 2
        self._bins = torch.arange(AUDIO_LENGTH // 2 + 1, device=device, dtype=torch.float32)

    def spectra(self, audio_low: Tensor, audio_high: Tensor, music: Tensor, emphasis: Tensor, draws: Draws) -> Tensor:
        """One-sided spectra of the messages.

        Args:
            audio_low: Lowest audio frequency in Hz, (B,).
            audio_high: Highest audio frequency W in Hz, (B,); the audio rate is AUDIO_OVERSAMPLING W.
            music: Whether the service carries music, bool (B,).
            emphasis: Time constant of the pre-emphasis in s, (B,).
            draws: Random numbers of the frames.

        Returns:
            complex64 (B, AUDIO_LENGTH / 2 + 1), zero outside the band; the mean is removed.
        """
        u = draws.choices(Choice.VOICES)
        speech = ~music | (u[:, 0] < self.config.speech_share)
        voiced = u[:, 1] < self.config.voiced_share
        rate = audio_high * AUDIO_OVERSAMPLING
        time = self._time / rate[:, None]
        breath = draws.normal(Stream.BREATH, AUDIO_LENGTH)
        talk = self._speech_source(u, voiced, time, audio_high, breath)
        tune = self._music_source(u, time, audio_high, breath)
        spectrum = torch.fft.rfft(torch.where(speech[:, None], talk, tune))
        frequency = self._bins * (rate / AUDIO_LENGTH)[:, None]
        vocal = torch.where(voiced[:, None], self._formants(u, frequency), frequency / (frequency + 2000))
        shape = torch.where(speech[:, None], vocal, torch.ones_like(vocal))
        shape = shape * torch.complex(torch.ones_like(frequency), frequency * (2 * math.pi * emphasis[:, None]))
        shaped: Tensor = spectrum * shape * _band(frequency, audio_low[:, None], audio_high[:, None])
        return shaped

    def _speech_source(self, u: Tensor, voiced: Tensor, time: Tensor, high: Tensor, breath: Tensor) -> Tensor:
        """Glottal pulses or noise, under the syllabic envelope max(0, cos(2 pi f t + phi) + c): (B, AUDIO_LENGTH)."""
        config = self.config
        pitch = log_between(u[:, 2], config.pitch_hz)
        slope = plus_minus(u[:, 3], config.pitch_slope)
        cycles = pitch[:, None] * time * (1 + slope[:, None] * 0.5 * time) + u[:, 4, None]
        pulses = harmonics(cycles, torch.exp(-3.0 * pitch / high))
        source = torch.where(voiced[:, None], pulses + 0.05 * breath, breath)
        syllable = between(u[:, 5], config.syllable_hz)
        phase = plus_minus(u[:, 6], 0.8 * _ACTIVE * math.pi)
        envelope = torch.cos(2 * math.pi * syllable[:, None] * time + phase[:, None]) - math.cos(_ACTIVE * math.pi)
        return source * envelope.clamp_(min=0.0)

    def _music_source(self, u: Tensor, time: Tensor, high: Tensor, breath: Tensor) -> Tensor:
        """One to three struck notes and a little noise: (B, AUDIO_LENGTH)."""
        config = self.config
        low_note, high_note = config.note_range
        total = 0.02 * breath
        for voice in range(3):
            v = u[:, 8 + 7 * voice : 15 + 7 * voice]
            note = low_note + choice(v[:, 0], int(high_note - low_note) + 1)
            pitch = 440.0 * torch.exp((note - 69) * (math.log(2) / 12))
            decay = torch.exp(-between(v[:, 1], config.brightness) * pitch / high)
            duration = log_between(v[:, 2], config.note_decay_s)
            level = amplitude(-12 * v[:, 4])
            if voice:
                level = torch.where(v[:, 5] < config.chord_share, level, torch.zeros_like(level))
            since = time + (duration * v[:, 3])[:, None]  # the note was struck up to one time constant earlier
            envelope = torch.exp(-since.clamp(min=0.0) / duration[:, None]) * (since / 0.005).clamp_(0.0, 1.0)
            total = total + harmonics(pitch[:, None] * time + v[:, 6, None], decay) * envelope * level[:, None]
        return total

    def _formants(self, u: Tensor, frequency: Tensor) -> Tensor:
        """sum_i A_i j f b_i / (F_i^2 - f^2 + j f b_i): complex64 (B, bins)."""
        config = self.config
        centres = (config.formant_1_hz, config.formant_2_hz, config.formant_3_hz)
        fall = (None, config.formant_2_level_db, config.formant_3_level_db)
        total = torch.zeros_like(frequency, dtype=torch.complex64)
        for number, (limits, levels, width) in enumerate(zip(centres, fall, config.formant_bandwidths_hz, strict=True)):
            centre = between(u[:, 26 + number], limits)[:, None]
            level = amplitude(-between(u[:, 29 + number], levels))[:, None] if levels else 1.0
            damping = frequency * width
            numerator = torch.complex(torch.zeros_like(damping), damping * level)
            total = total + numerator / torch.complex(centre**2 - frequency**2, damping)
        return total


def harmonics(cycles: Tensor, decay: Tensor) -> Tensor:
    """sum_{k>=1} r^k cos(2 pi k c) = (r cos x - r^2) / (1 - 2 r cos x + r^2), x = 2 pi c, scaled by (1 - r).

    The discrete summation formula (Moorer, J. Audio Eng. Soc. 24, 1976).

    Args:
        cycles: Phase c in periods, (B, n).
        decay: Ratio r of successive harmonics, 0 < r < 1, (B,).
    """
    ratio = decay[:, None]
    wave = torch.cos((cycles - cycles.floor()) * (2 * math.pi)) * ratio
    return (wave - ratio**2) * (1 - ratio) / (1 - 2 * wave + ratio**2)


def _band(frequency: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """1 from ``low`` to 0.95 ``high``, raised-cosine edges down to 0 at 0.6 ``low`` and at ``high``."""
    rise = ((frequency - 0.6 * low) / (0.4 * low)).clamp(0.0, 1.0)
    fall = ((high - frequency) / (0.05 * high)).clamp_(0.0, 1.0)
    return torch.sin(rise * (math.pi / 2)) ** 2 * torch.sin(fall * (math.pi / 2)) ** 2
