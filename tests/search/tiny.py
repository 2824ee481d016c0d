"""The smallest search that trains real networks: a second or two for a trial."""

from __future__ import annotations

from dataclasses import replace

from bacalhaunet.search.settings import HalvingConfig, SearchConfig
from bacalhaunet.search.space import Range, SearchSpace, ShareRange
from bacalhaunet.training.config import DataConfig

TINY_SPACE = SearchSpace(
    blocks=Range(1, 2),
    kernel=Range(3, 5, 2),
    stride=Range(4, 8),
    channels=Range(4, 8),
    prune_share=ShareRange(0.1, 0.5),
)


def tiny_search(**changes) -> SearchConfig:
    config = SearchConfig(
        trials=3,
        space=TINY_SPACE,
        starts=(),
        epochs=2,
        prune_epochs=1,
        halving=HalvingConfig(first_epoch=1, factor=2, band=4.0, rivals=1),
        data=DataConfig(frames_per_epoch=192, validation_frames_per_cell=1, snr_min_db=20),
        batch_size=64,
        checkpoint_every_steps=1,
        threads=1,
        accelerator="cpu",
        heartbeat_seconds=2,
    )
    return replace(config, **changes)
