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


def signal_gain(snr_db: Tensor) -> Tensor:
    """Amplitude of the signal for label L against noise of power 1: g = 10^(L / 10)."""
    return torch.pow(10.0, snr_db.to(torch.float64) / 10).to(torch.float32)


def signal_to_noise_db(snr_db: Tensor) -> Tensor:
    """Ratio of signal to noise power over the whole sampled band for label L and a constant envelope: 2 L dB."""
    return 2.0 * snr_db


def unit_amplitude(block: Tensor) -> Tensor:
    """Divide each block (B, 2, M) by its mean |s|, in place: what the gain multiplies has mean amplitude one."""
    amplitude = (block[:, 0] * block[:, 0]).addcmul_(block[:, 1], block[:, 1]).sqrt_().mean(1)
    return block.div_(amplitude.view(-1, 1, 1))


def rotate(block: Tensor, phase: Tensor, step: Tensor) -> Tensor:
    """s(n) exp(j (phi + w n)) for blocks (B, 2, N), phi in radians (B, 1), w in radians a sample (B, 1)."""
    count = block.shape[2]
    angle = torch.addcmul(phase, step, torch.arange(count, dtype=torch.float32, device=block.device))
    cosine, sine = torch.cos(angle), angle.sin_()
    out = torch.empty_like(block)
    in_phase, quadrature = block[:, 0], block[:, 1]
    torch.mul(in_phase, cosine, out=out[:, 0]).sub_(quadrature * sine)
    torch.mul(in_phase, sine, out=out[:, 1]).add_(quadrature * cosine)
    return out


def receive(block: Tensor, snr_db: Tensor, length: int, streams: FrameStreams, noise: int, unseen: int) -> Tensor:
    """The first ``length`` samples of each block with noise, divided by the std of the whole noisy block.

    Noise is drawn sample by sample for the part that is returned. Of the rest only the power and the mean enter, and
    their noise terms are drawn from their own joint distribution (see ``_unseen_sums``).

    Args:
        block: Clean rotated signal, float32 (B, 2, M), M > length + 2 or M == length.
        snr_db: Labels L in dB, (B,).
        length: Samples to return.
        streams: The random numbers of these B frames.
        noise: Stream number of the noise samples.
        unseen: Stream number of the noise sums of the rest of the block.

    Returns:
        float32 (B, 2, length).
    """
    rows, _, total = block.shape
    gain = signal_gain(snr_db).unsqueeze(1)
    samples = streams.normal(noise, 2 * length).view(rows, 2, length).mul_(math.sqrt(0.5))
    samples.add_(block[:, :, :length] * gain.unsqueeze(2))
    energy, sums = (samples * samples).sum((1, 2)), samples.sum(2)
    if total > length:
        more_energy, more_sums = _unseen_sums(block[:, :, length:], gain, streams.normal(unseen, 5))
        energy, sums = energy + more_energy, sums + more_sums
    variance = energy / total - ((sums / total) ** 2).sum(1)
    return samples.div_(variance.sqrt().view(rows, 1, 1))


def _unseen_sums(clean: Tensor, gain: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Sum |g s + v|^2 and sum (g s + v) over N samples of noise v that nobody looks at, exactly distributed.

    The sums depend on v through its projections on two directions, the constant and the part of s orthogonal to it,
    and through the energy of the rest. The projections are CN(0, 1) each, the rest is Gamma(N - 2), taken as half a
    chi-square of 2 N - 4 degrees by Wilson and Hilferty's cube (error of the distribution function below 1e-4 here).

    Args:
        clean: The signal s, (B, 2, N).
        gain: g, (B, 1).
        z: Standard normal numbers (B, 5).

    Returns:
        Energy (B,) and sum (B, 2).
    """
    count = clean.shape[2]
    sums, power = clean.sum(2), (clean * clean).sum((1, 2))
    along_constant, along_signal = z[:, 0:2] * math.sqrt(0.5), z[:, 2:4] * math.sqrt(0.5)
    noise_sums = along_constant * math.sqrt(count)
    orthogonal = (power - (sums * sums).sum(1) / count).clamp_min(0).sqrt()
    cross = (sums * noise_sums).sum(1) / count + orthogonal * along_signal[:, 0]
    degrees = 2 * count - 4
    rest = degrees / 2 * (1 - 2 / (9 * degrees) + z[:, 4] * math.sqrt(2 / (9 * degrees))) ** 3
    noise_energy = (along_constant**2).sum(1) + (along_signal**2).sum(1) + rest
    flat = gain.squeeze(1)
    return flat * flat * power + 2 * flat * cross + noise_energy, gain * sums + noise_sums
