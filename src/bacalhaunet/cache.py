"""Where things are kept that can be made again, so that they need not be."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/bacalhaunet``, or ``~/.cache/bacalhaunet``; it may not be there yet."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "bacalhaunet"
