"""What an SNR label means, and the chain from a clean signal to the samples of the data set.

RadioML 2018.01A, one chain for every class (evidence: clip shares, frame powers, confusions; sureness A):

    s(n) = s0(n) / mean |s0|,                  n = 0 .. M - 1
    x(n) = g s(n) exp(j (phi + w n)) + v(n),   g = 10^(L / 10)
    frame = x / std(x),                        std(x)^2 = mean |x|^2 - |mean x|^2

with L the label, v complex white noise of power 1 and every mean over the block of M samples, of which a frame is a
part. The gain is an amplitude and s has mean amplitude one, not mean power one, so the ratio of signal to noise power
is 2 L dB plus 10 log10 mean |s|^2: 0 for constant envelopes, 0.9 for the AM-DSB classes, 1.2 for 8ASK. The mean is
taken out of the std but not out of x, so a frame's own power floats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bacalhaunet.radio.random_streams import FrameStreams

_FINE = 64  # samples between the coarse steps of a phasor


def signal_gain(snr_db: Tensor) -> Tensor:
    """G = 10^(L / 10), amplitude of the signal for label L against noise of power 1.

    >>> signal_gain(torch.tensor([-10, 0, 20]))
    tensor([  0.1000,   1.0000, 100.0000])
    """
    return torch.pow(10.0, snr_db.to(torch.float64) / 10).to(torch.float32)


def signal_to_noise_db(snr_db: Tensor) -> Tensor:
    """Ratio of signal to noise power over the whole sampled band for label L and a constant envelope: 2 L dB."""
    return 2.0 * snr_db


def mean_amplitude(block: Tensor) -> tuple[Tensor, Tensor]:
    """Mean |s| over each block (B, 2, M), float32 (B,), and |s|^2, float32 (B, M)."""
    power = (block[:, 0] * block[:, 0]).addcmul_(block[:, 1], block[:, 1])
    return power.sqrt().mean(1), power


def phasors(gain: Tensor, phase: Tensor, step: Tensor, count: int) -> Tensor:
    """Turning phasors g exp(j (phi + w n)), n = 0 .. count - 1: (B, 2, count); gain, phase and step are (B, 1).

    By the addition theorem on n = 64 a + b: a product of small matrices instead of a cosine and a sine a sample.
    """
    ticks = torch.arange(max(count // _FINE, _FINE), dtype=torch.float32, device=gain.device)
    coarse, fine = phase + step * (_FINE * ticks[: count // _FINE]), step * ticks[:_FINE]
    cosine, sine = gain * torch.cos(coarse), gain * torch.sin(coarse)
    left = torch.stack((torch.stack((cosine, -sine), 2), torch.stack((sine, cosine), 2)), 1)
    right = torch.stack((torch.cos(fine), torch.sin(fine)), 1)
    return torch.bmm(left.flatten(1, 2), right).view(len(gain), 2, count)


def receive(
    block: Tensor,
    snr_db: Tensor,
    phase: Tensor,
    step: Tensor,
    length: int,
    streams: FrameStreams,
    noise: int,
    unseen: int,
) -> Tensor:
    """The first ``length`` samples of each block after the whole chain: offset, gain, noise, division by the std.

    Noise is drawn sample by sample for the part that is returned. Of the rest only the power and the mean enter, and
    their noise terms are drawn from their own joint distribution (see ``_unseen_sums``).

    Args:
        block: Clean signal of any scale, float32 (B, 2, M), M a multiple of 64, M > length + 2 or M == length.
        snr_db: Labels L in dB, (B,).
        phase: phi in radians, (B, 1).
        step: w in radians a sample, (B, 1).
        length: Samples to return.
        streams: The random numbers of these B frames.
        noise: Stream number of the noise samples.
        unseen: Stream number of the noise sums of the rest of the block.

    Returns:
        float32 (B, 2, length).
    """
    rows, _, total = block.shape
    amplitude, power = mean_amplitude(block)
    gain = (signal_gain(snr_db) / amplitude).unsqueeze(1)
    turn = phasors(gain, phase, step, total)
    samples = streams.normal(noise, 2 * length).view(rows, 2, length).mul_(math.sqrt(0.5))
    in_phase, quadrature = block[:, 0, :length], block[:, 1, :length]
    cosine, sine = turn[:, 0, :length], turn[:, 1, :length]
    samples[:, 0].addcmul_(in_phase, cosine).addcmul_(quadrature, sine, value=-1)
    samples[:, 1].addcmul_(in_phase, sine).addcmul_(quadrature, cosine)
    energy, sums = (samples * samples).sum((1, 2)), samples.sum(2)
    if total > length:
        products = torch.bmm(block[:, :, length:], turn[:, :, length:].transpose(1, 2))
        clean_sums = torch.stack((products[:, 0, 0] - products[:, 1, 1], products[:, 0, 1] + products[:, 1, 0]), 1)
        clean_energy = power[:, length:].sum(1) * gain.squeeze(1) ** 2
        more_energy, more_sums = _unseen_sums(clean_energy, clean_sums, streams.normal(unseen, 5), total - length)
        energy, sums = energy + more_energy, sums + more_sums
    variance = energy / total - ((sums / total) ** 2).sum(1)
    return samples.div_(variance.sqrt().view(rows, 1, 1))


def _unseen_sums(energy: Tensor, sums: Tensor, z: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Sum |y + v|^2 and sum (y + v) over N samples of signal y and of noise v that nobody looks at, as distributed.

    The sums depend on v through its projections on two directions, the constant and the part of y orthogonal to it,
    and through the energy of the rest. The projections are CN(0, 1) each, the rest is Gamma(N - 2), taken as half a
    chi-square of 2 N - 4 degrees by Wilson and Hilferty's cube (error of the distribution function below 1e-4 here).

    Args:
        energy: Sum |y|^2, (B,).
        sums: Sum y, (B, 2).
        z: Standard normal numbers (B, 5).
        count: N.

    Returns:
        Energy (B,) and sum (B, 2).
    """
    along_constant, along_signal = z[:, 0:2] * math.sqrt(0.5), z[:, 2:4] * math.sqrt(0.5)
    noise_sums = along_constant * math.sqrt(count)
    orthogonal = (energy - (sums * sums).sum(1) / count).clamp_min(0).sqrt()
    cross = (sums * noise_sums).sum(1) / count + orthogonal * along_signal[:, 0]
    degrees = 2 * count - 4
    rest = degrees / 2 * (1 - 2 / (9 * degrees) + z[:, 4] * math.sqrt(2 / (9 * degrees))) ** 3
    noise_energy = (along_constant**2).sum(1) + (along_signal**2).sum(1) + rest
    return energy + 2 * cross + noise_energy, sums + noise_sums
