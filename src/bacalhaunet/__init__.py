"""Classify the modulation of radio signals with networks that fit anywhere.

Data flows left to right through the subpackages and imports point left only:
``radio`` -> ``data`` -> ``models`` -> ``cost`` -> ``training`` -> ``compression`` -> ``search`` -> ``deploy``
-> ``classify`` -> ``report`` -> ``cli``.

Importing this package imports neither torch nor onnxruntime.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bacalhaunet.models.saved import SavedModel

try:
    __version__ = version("bacalhaunet")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__", "load"]


def load(name: str) -> SavedModel:
    """Return the shipped network called ``name``; see ``bacalhaunet.models.shipped_networks.load``."""
    from bacalhaunet.models.shipped_networks import load as load_shipped

    return load_shipped(name)
