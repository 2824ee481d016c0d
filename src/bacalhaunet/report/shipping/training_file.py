"""The file of frames a run was trained on: what it says of itself, and how it is made again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bacalhaunet.errors import ConfigError, DatasetError

PROFILES = ("twin", "field")


def described(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what a card says of the frames of a run: the profile, and of a file its name, seed and frames of a cell.

    Args:
        config: Every setting of the run.
        folder: Its folder; a relative path is looked for from here and from the folders above it.

    Raises:
        DatasetError: If the file is missing: what it held cannot be told.
        ConfigError: If it was made with the seed of the test or validation frames.
    """
    data = config["data"]
    if data.get("file") is None:
        return {"profile": data["profile"]}
    import h5py

    from bacalhaunet.data.radioml import RadioMLFile
    from bacalhaunet.training.history import seen_from
    from bacalhaunet.training.run_data import TEST_SEED, VALIDATION_SEED

    path = seen_from(Path(data["file"]), folder)
    if not path.is_file():
        raise DatasetError("the file a run was trained on is missing", where=str(path), action="make it again")
    with h5py.File(path, "r") as file:
        found = {name: value.item() if hasattr(value, "item") else value for name, value in file.attrs.items()}
    with RadioMLFile(path) as frames:
        facts = {"profile": found.get("profile", "file"), "file": path.name, "frames_per_cell": frames.frames_per_cell}
    if "seed" not in found:
        return facts
    if found["seed"] in (TEST_SEED, VALIDATION_SEED):
        raise ConfigError(
            f"the network was trained on frames of seed {found['seed']}",
            where=str(path),
            allowed="a seed that neither test nor validation frames have",
        )
    return {**facts, "seed": found["seed"], "settings": json.loads(str(found.get("settings", "{}")))}


def in_words(data: Mapping[str, Any]) -> str:
    """Say what ``described`` found."""
    if "file" not in data:
        return f"frames of the {data['profile']} profile, none twice"
    what = f"{data['file']}, {data['frames_per_cell']:,} frames of each modulation at each SNR"
    return what + (f" of the {data['profile']} profile, seed {data['seed']}" if "seed" in data else "")


def command(data: Mapping[str, Any]) -> str | None:
    """Return the shell command that makes a generated file again, if it is not there; None for another file."""
    if "seed" not in data or data.get("settings"):
        return None
    words = ["--frames-per-cell", str(data["frames_per_cell"]), "--seed", str(data["seed"])]
    made = shlex.join(["bacalhaunet", "twin", "make", data["file"], *words, "--profile", data["profile"]])
    return f"[ -f {shlex.quote(data['file'])} ] || {made}"
