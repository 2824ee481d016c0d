"""Receiver noise alone, as a class of the field profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from bacalhaunet.radio.field.draws import Draws
from bacalhaunet.radio.field.gmsk import GMSK
from bacalhaunet.radio.field.transmitter import BLOCK_LENGTH, FieldSignal

NOISE_NAME = "noise"
"""Name of the class of frames without a signal."""


class Noise(GMSK):
    """No signal; the channel filter is as wide as one about a digital signal would be."""

    modulations: ClassVar[Mapping[str, str]] = {NOISE_NAME: NOISE_NAME}

    def transmit(self, which: Tensor, draws: Draws) -> FieldSignal:
        """Zeros, with the rates of a digital signal."""
        signal = super().transmit(which, draws)
        signal.samples = torch.zeros(len(which), BLOCK_LENGTH, dtype=torch.complex64, device=which.device)
        signal.silent = True
        return signal
