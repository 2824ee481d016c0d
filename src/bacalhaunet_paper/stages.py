"""A run as stages that are done once: an interrupted run goes on at the first stage that is not done."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import write_text
from bacalhaunet.report.run_record import CONFIG_FILE

Facts = dict[str, Any]
"""What a stage leaves for later ones: a JSON object."""


class Stages:
    """Runs stages and remembers in the run folder which are done and what they found.

    Args:
        folder: The run folder.
        config: The resolved configuration. A folder begun with another one is refused, so that no run mixes two.

    Raises:
        ConfigError: If the folder belongs to a run with another configuration.
    """

    def __init__(self, folder: Path, config: Facts) -> None:
        self.folder = folder
        self.started = time.monotonic()
        path = folder / CONFIG_FILE
        text = yaml.safe_dump(config, sort_keys=False)
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise ConfigError(
                "the run folder was begun with another configuration",
                where=str(path),
                allowed="the same configuration, to go on",
                action="choose another folder with --output, or delete this one",
            )
        write_text(path, text)

    def run(self, name: str, title: str, work: Callable[[Path], Facts]) -> Facts:
        """Run ``work`` unless it was done before, and return what it found.

        Args:
            name: File-name-safe name; the stage's folder is ``stages/<name>``.
            title: What people read.
            work: Gets the stage's folder, which may hold what an interrupted call left there.
        """
        folder = self.folder / "stages" / name
        done = folder / "done.json"
        if done.is_file():
            self.say(f"{title}: done before")
            facts: Facts = json.loads(done.read_text(encoding="utf-8"))
            return facts
        self.say(title)
        folder.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        facts = work(folder)
        facts.setdefault("seconds", round(time.monotonic() - begun, 1))
        write_text(done, json.dumps(facts, indent=1, allow_nan=False))
        return facts

    def say(self, text: str) -> None:
        """Print a line with the time since this call of the command began, on standard error."""
        elapsed = round(time.monotonic() - self.started)
        print(f"[{elapsed // 60:3d}:{elapsed % 60:02d}] {text}", file=sys.stderr, flush=True)
