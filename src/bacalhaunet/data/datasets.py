"""The kinds of data sets: ``RadioML``, ``Arrays``, ``Recordings``, and generated, ``Twin`` and ``Field``."""

from __future__ import annotations

from collections.abc import Callable

from bacalhaunet.data.arrays import Arrays
from bacalhaunet.data.dataset import Dataset
from bacalhaunet.data.generated import Field, Generated, Twin
from bacalhaunet.data.labelled_recordings import Recordings
from bacalhaunet.data.radioml_dataset import RadioML

__all__ = ["GENERATED", "Arrays", "Field", "Generated", "RadioML", "Recordings", "Twin"]

GENERATED: dict[str, Callable[..., Dataset]] = {"twin": Twin, "field": Field}
"""The generated data sets by name."""
