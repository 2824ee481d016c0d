"""A run as stages that are done once: an interrupted run goes on at the first stage that is not done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bacalhaunet.resume import DONE_FILE, claim_folder, once

Facts = dict[str, Any]
"""What a stage leaves for later ones: a JSON object."""


class Stages:
    """Runs stages and remembers in the run folder which are done and what they found.

    Args:
        folder: The run folder.
        config: The resolved configuration. A folder begun with another one is refused, so that no run mixes two.

    Raises:
        ConfigError: If the folder was begun with another configuration, or another process runs in it.
    """

    def __init__(self, folder: Path, config: Facts) -> None:
        self.folder = folder
        self.started = time.monotonic()
        self._claim = claim_folder(folder, config)

    def run(self, name: str, title: str, work: Callable[[Path], Facts]) -> Facts:
        """Run ``work`` unless it was done before, and return what it found.

        Args:
            name: File-name-safe name; the stage's folder is ``stages/<name>``.
            title: What people read.
            work: Gets the stage's folder, which may hold what an interrupted call left there.
        """
        folder = self.folder / "stages" / name
        done = folder / DONE_FILE
        self.say(f"{title}: done before" if done.is_file() else title)

        def timed() -> Facts:
            begun = time.monotonic()
            facts = work(folder)
            facts.setdefault("seconds", round(time.monotonic() - begun, 1))
            return facts

        facts: Facts = once(done, timed)
        return facts

    def say(self, text: str) -> None:
        """Print a line with the time since this call of the command began, on standard error."""
        elapsed = round(time.monotonic() - self.started)
        print(f"[{elapsed // 60:3d}:{elapsed % 60:02d}] {text}", file=sys.stderr, flush=True)
