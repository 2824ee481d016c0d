"""Classify the modulation of radio signals with networks that fit anywhere.

Data flows left to right through the subpackages and imports point left only:
``radio`` -> ``data`` -> ``models`` -> ``cost`` -> ``training`` -> ``compression`` -> ``search`` -> ``deploy``
-> ``classify`` -> ``report`` -> ``cli``.

Importing this package imports neither torch nor onnxruntime.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bacalhaunet")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
