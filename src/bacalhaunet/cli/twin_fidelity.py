"""``bacalhaunet twin fidelity``: how close the twin is to the real data."""

from __future__ import annotations

from jsonargparse import ArgumentParser


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
