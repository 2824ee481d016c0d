"""Data sets that are made when they are read: RadioML's twin, and signals as they are on the air."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.data.dataset import Dataset, Frames, Indices
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import FRAME_LENGTH, SNRS_DB
from bacalhaunet.radio.profiles import make_source

if TYPE_CHECKING:
    from bacalhaunet.radio.profiles import FrameSource

VALIDATION_SEED = 2_147_483_646
"""Seed of the frames that choices are made on; no run can train with it, since it has one of its own."""

TEST_SEED = 2_147_483_647
"""Seed of the test frames. They are read once per reported figure and never trained or chosen on."""


class Generated(Dataset):
    """Frames of a profile: the same number of each class at each of the 26 SNRs.

    The three parts have seeds of their own, so they share no frame. A training draws from the same source without end
    and no frame comes twice; ``train`` is the first of these frames.

    Args:
        profile: ``twin`` or ``field``.
        seed: Of the training frames.
        train_frames_per_cell: Frames of each class at each SNR in ``train``.
        validation_frames_per_cell: In ``validation``.
        test_frames_per_cell: In ``test``; 40 make 24,960 frames of 24 classes.
        device: Where torch makes the frames.
        settings: Fields of the profile's config that differ from the default.

    Attributes:
        source: What makes the frames.

    Raises:
        ConfigError: If a setting cannot be used.
        MissingExtraError: If torch is not installed.
    """

    source: FrameSource

    def __init__(
        self,
        profile: str,
        *,
        seed: int = 1,
        train_frames_per_cell: int = 164,
        validation_frames_per_cell: int = 10,
        test_frames_per_cell: int = 40,
        device: str = "cpu",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if seed in (VALIDATION_SEED, TEST_SEED):
            raise ConfigError(f"seed is {seed}", allowed="any other: validation and test frames have this one")
        source = make_source(profile, device=device, **(settings or {}))
        parts = [
            _part(source, part_seed, per_cell, profile)
            for part_seed, per_cell in (
                (seed, train_frames_per_cell),
                (VALIDATION_SEED, validation_frames_per_cell),
                (TEST_SEED, test_frames_per_cell),
            )
        ]
        super().__init__(profile, source.classes, FRAME_LENGTH, *parts)
        object.__setattr__(self, "source", source)


class Twin(Generated):
    """RadioML 2018.01A's twin; the settings are those of ``Generated``, without the profile."""

    def __init__(self, **settings: Any) -> None:
        super().__init__("twin", **settings)


class Field(Generated):
    """Signals as a receiver meets them; the settings are those of ``Generated``, without the profile.

    >>> Field(classes=("QPSK", "GMSK"), train_frames_per_cell=1).classes.groups
    ('PSK', 'GMSK')

    Args:
        classes: Names of the classes, from the modulations that the profile has a transmitter for; None for
            RadioML's 24.
        settings: Those of ``Generated``.
    """

    def __init__(self, *, classes: Sequence[str] | None = None, **settings: Any) -> None:
        if classes is not None:
            settings["settings"] = {**settings.get("settings", {}), "classes": tuple(classes)}
        super().__init__("field", **settings)


def _part(source: FrameSource, seed: int, per_cell: int, name: str) -> Frames:
    """Return frames 0 to ``per_cell - 1`` of every cell, in the order in which training would meet them."""
    from bacalhaunet.data.batches import GeneratedBatches

    count = len(source.classes) * len(SNRS_DB) * per_cell
    batches = GeneratedBatches(source, max(count, 1), seed=seed, labels=range(len(source.classes)))
    labels, snr_db, index = batches.contents(0)
    store = _Source(source, seed, labels, snr_db, index)
    return Frames(store, np.arange(count), source.classes, FRAME_LENGTH, labels, snr_db.astype(np.float32), name)


class _Source:
    """Frames of a source by their place in a list of labels, SNRs in dB and frame numbers."""

    def __init__(self, source: FrameSource, seed: int, labels: Indices, snr_db: Indices, index: Indices) -> None:
        self.source, self.seed, self.columns = source, seed, (labels, snr_db, index)

    def read(self, rows: Indices) -> NDArray[np.float32]:
        import torch

        labels, snr_db, index = (torch.from_numpy(column[rows]) for column in self.columns)
        frames = self.source.frames(labels, snr_db.to(torch.float32), index, seed=self.seed)
        return np.asarray(frames.cpu().numpy())

    def identity(self) -> str:
        return f"{type(self.source).__name__} {getattr(self.source, 'config', None)} {self.seed}"
